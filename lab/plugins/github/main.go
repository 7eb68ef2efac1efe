// The GitHub plugin of the lab: Terraform's GitHub provider, bridged as the official pulumi-github bridges it.
package main

import (
	"github.com/integrations/terraform-provider-github/v6/github"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// The linker sets it (lab/pulumi_plugins.py).
var version string

func main() {
	const name = "github"
	info := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(github.NewProvider(version, "")()),
		Name:         name,
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		// What Terraform's provider marks as sensitive is secret by itself; its own token is not among that.
		Config:                         map[string]*tfbridge.SchemaInfo{"token": {Secret: tfbridge.True()}},
		Resources:                      map[string]*tfbridge.ResourceInfo{},
		EnableAccurateBridgePreview:    true,
		EnableRawStateDelta:            true,
		EnableZeroDefaultSchemaVersion: true,
	}
	// GitHub refuses a second one of these with the same key or name: a replacement deletes the first before it creates.
	for _, kind := range []string{"actions_environment_secret", "repository_autolink_reference",
		"repository_collaborator", "repository_deploy_key"} {
		info.Resources["github_"+kind] = &tfbridge.ResourceInfo{DeleteBeforeReplace: true}
	}
	// One at most since v6.13.0 of Terraform's provider, and still a list in the official plugin.
	info.Resources["github_repository_environment"] = &tfbridge.ResourceInfo{
		Fields: map[string]*tfbridge.SchemaInfo{"reviewers": {MaxItemsOne: tfbridge.False()}},
	}
	info.MustComputeTokens(tokens.SingleModule("github_", "index", tokens.MakeStandard(name)))
	info.SetAutonaming(255, "-")
	tfbridge.Main(name, version, info, []byte(`{"name":"`+name+`","version":"`+version+`"}`))
}

package io.kestra.plugin.git;

import io.kestra.core.models.property.Property;
import io.kestra.core.models.tasks.Task;
import io.kestra.core.runners.RunContext;
import io.kestra.core.serializers.JacksonMapper;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.eclipse.jgit.api.CloneCommand;
import org.eclipse.jgit.api.Git;
import org.eclipse.jgit.api.TransportCommand;
import org.eclipse.jgit.lib.Constants;
import org.eclipse.jgit.transport.UsernamePasswordCredentialsProvider;

/**
 * What the stand-ins of plugin-git's tasks share: its properties, a clone, and a client of Kestra's API.
 *
 * plugin-git is not on Maven Central. Properties of it that are not declared here are refused at validation.
 */
public abstract class GitTask extends Task {
    public Property<String> url;
    public Property<String> username;
    public Property<String> password;
    public Property<String> privateKey;
    public Property<String> passphrase;
    public Property<String> branch = Property.ofValue("main");
    public Property<String> gitDirectory = Property.ofValue("_flows");
    public Property<Boolean> includeChildNamespaces = Property.ofValue(false);
    public Property<Boolean> dryRun = Property.ofValue(false);
    public Property<String> kestraUrl;
    public Auth auth;

    /** A login for Kestra's API other than the server's own. */
    public static class Auth {
        public Property<String> username;
        public Property<String> password;
    }

    KestraApi api(RunContext run) throws Exception {
        return new KestraApi(run, text(run, kestraUrl), auth == null ? null : text(run, auth.username), auth == null ? null : text(run, auth.password));
    }

    /** A clone of the branch in the working directory; a branch that is not there yet starts from the default one. */
    Git checkOut(RunContext run) throws Exception {
        if (privateKey != null) throw new UnsupportedOperationException("lab stand-in: Git over SSH is not there");
        String remote = text(run, url), name = text(run, branch);
        boolean exists = login(run, Git.lsRemoteRepository().setRemote(remote)).callAsMap().containsKey(Constants.R_HEADS + name);
        CloneCommand clone = login(run, Git.cloneRepository()).setURI(remote).setDirectory(run.workingDir().path().toFile());
        if (exists) return clone.setBranch(name).call();
        run.logger().info("Branch {} does not exist, creating it", name);
        Git git = clone.call();
        if (git.getRepository().resolve(Constants.HEAD) != null) git.checkout().setName(name).setCreateBranch(true).call();
        return git;
    }

    <C extends TransportCommand<C, ?>> C login(RunContext run, C command) throws Exception {
        if (username != null && password != null)
            command.setCredentialsProvider(new UsernamePasswordCredentialsProvider(text(run, username), text(run, password)));
        return command;
    }

    Path directory(RunContext run) throws Exception {
        return run.workingDir().resolve(Path.of(text(run, gitDirectory)));
    }

    static String text(RunContext run, Property<String> property) throws Exception {
        return run.render(property).as(String.class).orElse(null);
    }

    static boolean is(RunContext run, Property<Boolean> property) throws Exception {
        return run.render(property).as(Boolean.class).orElse(false);
    }

    /** The list of what was done, a file of one ION record per line in Kestra's storage. */
    static URI store(RunContext run, List<Map<String, Object>> rows) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (Map<String, Object> row : rows) {
            String line = JacksonMapper.ofIon().writeValueAsString(row);
            run.logger().info(line);
            lines.append(line).append('\n');
        }
        return run.storage().putFile(new ByteArrayInputStream(lines.toString().getBytes(StandardCharsets.UTF_8)), "flows.ion");
    }
}

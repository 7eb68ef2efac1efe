package io.kestra.plugin.git;

import com.fasterxml.jackson.databind.JsonNode;
import io.kestra.core.models.flows.Flow;
import io.kestra.core.models.flows.FlowWithSource;
import io.kestra.core.runners.RunContext;
import io.kestra.core.runners.SDK;
import io.kestra.core.serializers.JacksonMapper;
import io.kestra.core.serializers.YamlParser;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** The four calls the git tasks make to Kestra's own API, as in plugin-git 3 (Kestra 2.0). */
class KestraApi {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String YAML = "application/x-yaml";

    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(LIMIT).build();
    private final String base;
    private final Optional<String> authorization;

    /** The address is the task's, else kestra.tasks.sdk.authentication.url, else kestra.url, else the local one. */
    KestraApi(RunContext run, String url, String username, String password) throws Exception {
        Optional<SDK.Auth> ours = run.sdk().defaultAuthentication();
        String address = Optional.ofNullable(url).or(() -> ours.flatMap(SDK.Auth::url)).orElse(null);
        if (address == null) address = run.render("{{ kestra.url ?? 'http://localhost:8080' }}");
        this.base = address.replaceAll("/+$", "") + "/api/v1/" + run.flowInfo().tenantId();
        Optional<String> user = Optional.ofNullable(username).or(() -> ours.flatMap(SDK.Auth::username));
        Optional<String> secret = Optional.ofNullable(password).or(() -> ours.flatMap(SDK.Auth::password));
        this.authorization = user.flatMap(name -> secret.map(word -> name + ":" + word))
            .map(it -> "Basic " + Base64.getEncoder().encodeToString(it.getBytes(StandardCharsets.UTF_8)));
    }

    List<FlowWithSource> export(String namespace, boolean withChildren) throws Exception {
        String filter = "filters[namespace][" + (withChildren ? "STARTS_WITH" : "EQUALS") + "]";
        byte[] zip = send("GET", "/flows/export/by-query?" + encode(filter) + "=" + encode(namespace), null, null);
        List<FlowWithSource> flows = new ArrayList<>();
        try (ZipInputStream entries = new ZipInputStream(new ByteArrayInputStream(zip))) {
            for (ZipEntry entry = entries.getNextEntry(); entry != null; entry = entries.getNextEntry()) {
                String source = new String(entries.readAllBytes(), StandardCharsets.UTF_8);
                flows.add(FlowWithSource.of(YamlParser.parse(source, Flow.class), source));
            }
        }
        return flows;
    }

    /** What is wrong with a flow's source, or null. */
    String violations(String source) throws Exception {
        JsonNode answer = JacksonMapper.ofJson().readTree(send("POST", "/flows/validate", YAML, source));
        JsonNode constraints = answer.path(0).path("constraints");
        return constraints.isMissingNode() || constraints.isNull() ? null : constraints.asText();
    }

    void write(String id, String source) throws Exception {
        String boundary = "kestra-flow-source";
        if (source.contains(boundary)) throw new IllegalArgumentException("flow " + id + " contains the text " + boundary);
        String body = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"fileUpload\"; filename=\"" + id + ".yaml\"\r\n"
            + "Content-Type: " + YAML + "\r\n\r\n" + source + "\r\n--" + boundary + "--\r\n";
        send("POST", "/flows/import?failOnError=true", "multipart/form-data; boundary=" + boundary, body);
    }

    void delete(String namespace, String id) throws Exception {
        send("DELETE", "/flows/" + encode(namespace) + "/" + encode(id), null, null);
    }

    private byte[] send(String method, String path, String type, String body) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path)).timeout(LIMIT)
            .method(method, body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body));
        authorization.ifPresent(it -> request.header("Authorization", it));
        if (type != null) request.header("Content-Type", type);
        HttpResponse<byte[]> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (answer.statusCode() >= 400)
            throw new IOException(method + " " + base + path + ": " + answer.statusCode() + " " + new String(answer.body(), StandardCharsets.UTF_8));
        return answer.body();
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}

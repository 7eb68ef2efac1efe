package lab;

import io.micronaut.context.env.PropertySource;
import io.micronaut.context.env.yaml.YamlPropertySourceLoader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.yaml.snakeyaml.error.MarkedYAMLException;

/**
 * The official configuration file, checked and turned into what the engine gets.
 *
 * The engine's repository and queue go to H2 (see Database), so `datasources` never reaches Micronaut. A key that nothing
 * here honours is refused: a setting that is silently ignored would pass tests here and surprise in production.
 */
class Configuration {
    /** What the front (first lines) or the engine honours; everything below such a key too. */
    private static final List<String> HONOURED = List.of(
        "kestra.url",
        "kestra.server.basic-auth.username", "kestra.server.basic-auth.password", "kestra.server.basic-auth.realm",
        "kestra.server.basic-auth.open-urls", "kestra.tutorial-flows.enabled",
        "kestra.anonymous-usage-report.enabled", "kestra.ui-anonymous-usage-report.enabled",
        "kestra.repository.type", "kestra.queue.type", "kestra.storage.type", "kestra.storage.local.base-path",
        "kestra.server.termination-grace-period", "kestra.server.worker-task-restart-strategy", "kestra.server.liveness",
        "kestra.encryption.secret-key", "kestra.variables", "kestra.plugins.configurations", "kestra.tasks",
        "datasources.postgres.url", "datasources.postgres.username", "datasources.postgres.password",
        "datasources.postgres.driver-class-name", "datasources.postgres.maximum-pool-size",
        "micronaut.server", "endpoints", "logger.levels");

    /** Settings that have one possible value here. */
    private static final Map<String, Object> FIXED = Map.of(
        "kestra.repository.type", "postgres",
        "kestra.queue.type", "postgres",
        "kestra.storage.type", "local",
        "kestra.tutorial-flows.enabled", false,
        "datasources.postgres.driver-class-name", "org.postgresql.Driver");

    private static final List<String> REQUIRED = List.of(
        "kestra.repository.type", "kestra.queue.type", "kestra.storage.type", "kestra.storage.local.base-path",
        "kestra.tutorial-flows.enabled", "kestra.server.basic-auth.username", "kestra.server.basic-auth.password",
        "datasources.postgres.url", "datasources.postgres.username", "datasources.postgres.password");

    private static final Pattern EMAIL = Pattern.compile("[^@\\s]+@[^@\\s]+\\.[^@\\s]+");
    private static final List<String> PASSWORD_RULE = List.of(".{8,256}", ".*[A-Z].*", ".*[a-z].*", ".*[0-9].*");

    private final Map<String, Object> properties;

    private Configuration(Map<String, Object> properties) {
        this.properties = properties;
    }

    static Configuration read(Path file) {
        Map<String, Object> properties;
        try (InputStream in = Files.newInputStream(file)) {
            properties = new TreeMap<>(new YamlPropertySourceLoader().read(file.toString(), in));
        } catch (IOException e) {
            throw new Refusal("cannot read the configuration file " + file + ": " + e);
        } catch (RuntimeException e) {
            // The parser's message quotes the file, secrets and all.
            Throwable cause = e;
            while (cause.getCause() != null) cause = cause.getCause();
            throw new Refusal("the configuration file " + file + " is not valid YAML"
                + (cause instanceof MarkedYAMLException marked ? ", line " + (marked.getProblemMark().getLine() + 1) : ""));
        }
        Configuration configuration = new Configuration(properties);
        List<String> problems = configuration.problems();
        if (!problems.isEmpty()) throw new Refusal(file + ":\n  - " + String.join("\n  - ", problems));
        return configuration;
    }

    private List<String> problems() {
        List<String> problems = new ArrayList<>();
        for (String key : properties.keySet()) {
            boolean honoured = HONOURED.stream().anyMatch(it -> key.equals(it) || key.startsWith(it + ".") || key.startsWith(it + "["));
            if (!honoured) problems.add(key + ": not honoured by the lab's Kestra (keys are kebab-case)");
        }
        for (String key : REQUIRED) if (properties.get(key) == null) problems.add(key + ": missing");
        FIXED.forEach((key, only) -> {
            Object given = properties.get(key);
            if (given != null && !only.toString().equals(given.toString()))
                problems.add(key + ": the lab's Kestra knows " + only + " only, not " + given);
        });
        String user = text("kestra.server.basic-auth.username"), password = text("kestra.server.basic-auth.password");
        // The official server starts all the same and leaves its set-up page to the first who comes.
        if (user != null && !EMAIL.matcher(user).matches())
            problems.add("kestra.server.basic-auth.username: not an e-mail address; Kestra would leave its set-up open to anyone");
        if (password != null && !PASSWORD_RULE.stream().allMatch(password::matches))
            problems.add("kestra.server.basic-auth.password: wants 8 to 256 characters with upper case, lower case and a digit;"
                + " Kestra would leave its set-up open to anyone");
        for (String name : System.getenv().keySet())
            if (name.startsWith("DATASOURCES_"))
                problems.add("environment variable " + name + ": the lab's Kestra takes data sources from the file only");
        return problems;
    }

    private String text(String key) {
        Object value = properties.get(key);
        return value == null ? null : value.toString();
    }

    /** The file below the environment, as in Micronaut, and what the lab sets on top. */
    PropertySource[] sources() {
        Map<String, Object> file = new HashMap<>();
        properties.forEach((key, value) -> file.put(key.replaceFirst("^datasources\\.", "lab."), value));
        Map<String, Object> engine = new HashMap<>(Map.of(
            "kestra.repository.type", "h2",
            "kestra.queue.type", "h2",
            "datasources.h2.url", "jdbc:h2:file:${kestra.storage.local.base-path}/.lab-h2/kestra;TIME ZONE=UTC;DB_CLOSE_ON_EXIT=FALSE;LOCK_TIMEOUT=30000",
            "datasources.h2.username", "sa",
            "datasources.h2.password", "",
            "datasources.h2.driver-class-name", "org.h2.Driver",
            // A lab never reports to anybody.
            "kestra.anonymous-usage-report.enabled", false));
        // As the official server: tasks that call the API log in as the one user there is, unless told otherwise.
        for (String part : List.of("username", "password"))
            if (text("kestra.tasks.sdk.authentication." + part) == null)
                engine.put("kestra.tasks.sdk.authentication." + part, "${kestra.server.basic-auth." + part + "}");
        return new PropertySource[] {PropertySource.of("file", file, -250), PropertySource.of("lab", engine, 1000)};
    }
}

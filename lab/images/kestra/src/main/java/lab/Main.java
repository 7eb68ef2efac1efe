package lab;

import io.micronaut.context.ApplicationContext;
import io.micronaut.context.env.PropertySource;
import io.micronaut.runtime.server.EmbeddedServer;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * `server standalone`: engine and HTTP front in one JVM. Other commands of the official program are refused.
 *
 * The image's build also runs `train`, a start without a database that ends at once, from which Java keeps what it loaded.
 */
public class Main {
    private static final Logger log = LoggerFactory.getLogger(Main.class);

    public static void main(String[] args) {
        long began = System.nanoTime();
        try {
            List<String> words = new ArrayList<>(List.of(args));
            Path file = configurationFile(words);
            boolean training = words.equals(List.of("train"));
            if (!training && !words.equals(List.of("server", "standalone")))
                throw new Refusal("the lab's Kestra knows the command `server standalone [--config FILE]` only, not: "
                    + (words.isEmpty() ? "(nothing)" : String.join(" ", words)));
            ApplicationContext context = ApplicationContext.builder()
                .propertySources(Configuration.read(file).sources())
                .propertySources(training ? freePorts() : PropertySource.of(Map.of()))
                .banner(false)
                .start();
            Runtime.getRuntime().addShutdownHook(new Thread(context::stop, "stop"));
            if (!training) context.getBean(Database.class).open();
            context.getBean(Engine.class).start();
            EmbeddedServer server = context.getBean(EmbeddedServer.class).start();
            log.info("Kestra's engine 2.0.0 with the lab's front listens on {} after {} ms",
                server.getURL(), Duration.ofNanos(System.nanoTime() - began).toMillis());
            if (training) System.exit(0);
        } catch (Throwable e) {
            Throwable root = e;
            while (root.getCause() != null) root = root.getCause();
            if (root instanceof Refusal) log.error("{}", root.getMessage());
            else log.error("cannot start: {}", root, e);
            System.exit(1);
        }
    }

    /** Images are built on the network of the machine, where Kestra's own ports may be taken. */
    private static PropertySource freePorts() throws IOException {
        try (ServerSocket api = new ServerSocket(0); ServerSocket management = new ServerSocket(0); ServerSocket controller = new ServerSocket(0)) {
            return PropertySource.of("training", Map.of("micronaut.server.port", api.getLocalPort(),
                "endpoints.all.port", management.getLocalPort(), "kestra.controller.port", controller.getLocalPort()), 2000);
        }
    }

    /** Takes the file's option out of the words of the command. */
    private static Path configurationFile(List<String> words) {
        Path file = null;
        for (String name : List.of("--config", "-c")) {
            int at = words.indexOf(name);
            if (at < 0) continue;
            if (at + 1 == words.size()) throw new Refusal(name + " wants a file");
            file = Path.of(words.remove(at + 1));
            words.remove(at);
        }
        if (file == null) throw new Refusal("no configuration: set MICRONAUT_CONFIG_FILES, KESTRA_CONFIGURATION or --config");
        return file;
    }
}

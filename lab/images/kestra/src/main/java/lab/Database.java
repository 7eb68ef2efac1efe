package lab;

import io.kestra.core.repositories.FlowRepositoryInterface;
import io.micronaut.context.annotation.Value;
import io.micronaut.health.HealthStatus;
import io.micronaut.management.health.indicator.HealthIndicator;
import io.micronaut.management.health.indicator.HealthResult;
import io.micronaut.scheduling.annotation.Scheduled;
import jakarta.inject.Singleton;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.reactivestreams.Publisher;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import reactor.core.publisher.Mono;

/**
 * The configured PostgreSQL.
 *
 * Kestra's PostgreSQL repository is not on Maven Central, so flows and executions live in H2 below the storage directory.
 * What tests need of the database is kept: the server wants it to start, writes to it all the time, is unhealthy and refuses
 * calls while it is away, and recovers by itself. Each heartbeat logs in anew (there is no pool, maximum-pool-size has
 * no effect), so a changed password shows at once.
 */
@Singleton
class Database implements HealthIndicator {
    private static final Logger log = LoggerFactory.getLogger(Database.class);
    private static final Duration START_LIMIT = Duration.ofSeconds(30);

    private final String url;
    private final Properties login = new Properties();
    private final FlowRepositoryInterface flows;
    private volatile boolean opened;
    private volatile String problem = "not opened yet";

    Database(@Value("${lab.postgres.url}") String url, @Value("${lab.postgres.username}") String user,
             @Value("${lab.postgres.password}") String password, FlowRepositoryInterface flows) {
        this.url = url;
        this.flows = flows;
        login.putAll(Map.of("user", user, "password", password, "ApplicationName", "kestra",
            "connectTimeout", "5", "loginTimeout", "5", "socketTimeout", "5"));
    }

    /** Waits for a database that is not there yet; a refused login is final, as it is for the official server. */
    void open() throws InterruptedException {
        long end = System.nanoTime() + START_LIMIT.toNanos();
        while (true) {
            try {
                write();
                opened = true;
                return;
            } catch (SQLException e) {
                boolean refused = e.getSQLState() != null && (e.getSQLState().startsWith("28") || e.getSQLState().startsWith("3D"));
                if (refused || System.nanoTime() > end)
                    throw new Refusal("cannot use the database " + url + ": " + e.getMessage());
                log.warn("waiting for the database {}: {}", url, e.getMessage());
                Thread.sleep(1000);
            }
        }
    }

    /** Why the database cannot be used, or null. */
    String problem() {
        return problem;
    }

    @Scheduled(fixedDelay = "2s")
    void beat() {
        if (!opened) return;
        try {
            write();
        } catch (SQLException e) {
            if (problem == null) log.error("lost the database {}: {}", url, e.getMessage());
            problem = e.getMessage();
        }
    }

    private void write() throws SQLException {
        try (Connection connection = DriverManager.getConnection(url, login); Statement statement = connection.createStatement()) {
            if (!opened) statement.execute("create table if not exists lab_kestra"
                + " (id int primary key, started timestamptz not null default now(), seen timestamptz not null, flows int not null)");
            try (PreparedStatement row = connection.prepareStatement("insert into lab_kestra (id, seen, flows) values (1, now(), ?)"
                + " on conflict (id) do update set seen = excluded.seen, flows = excluded.flows")) {
                row.setInt(1, flows.count(Engine.TENANT));
                row.executeUpdate();
            }
        }
        if (opened && problem != null) log.info("the database {} is back", url);
        problem = null;
    }

    @Override
    public Publisher<HealthResult> getResult() {
        return Mono.just(HealthResult.builder("postgres", problem == null ? HealthStatus.UP : HealthStatus.DOWN).build());
    }
}

package lab;

import io.kestra.core.models.executions.Execution;
import io.kestra.core.models.flows.Flow;
import io.micronaut.data.model.Pageable;
import io.micronaut.data.model.Sort;
import io.micronaut.http.MediaType;
import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Get;
import io.micronaut.scheduling.TaskExecutors;
import io.micronaut.scheduling.annotation.ExecuteOn;
import java.util.List;
import java.util.Map;

/** What is not the API: liveness, the state of the login, and one page for people, since Kestra's own interface is not on Maven Central. */
@Controller
@ExecuteOn(TaskExecutors.BLOCKING)
class Pages {
    private static final int LAST = 20;

    private final Engine engine;

    Pages(Engine engine) {
        this.engine = engine;
    }

    @Get(uri = "/ping", produces = MediaType.TEXT_PLAIN)
    String ping() {
        return "pong";
    }

    @Get("/api/v1/configs")
    Map<String, Object> configs() {
        return Map.of("version", "2.0.0", "isBasicAuthInitialized", true, "isAnonymousUsageEnabled", false, "tenants", Map.of("enabled", false));
    }

    @Get("/api/v1/configs/login")
    Map<String, Object> login() {
        return Map.of("isBasicAuthInitialized", true);
    }

    @Get(uris = {"/", "/ui", "/ui/{+path}"}, produces = MediaType.TEXT_HTML)
    String page() {
        StringBuilder rows = new StringBuilder("<h2>Flows</h2><table><tr><th>Namespace<th>Flow<th>Revision");
        for (Flow flow : engine.flows.findAll(Engine.TENANT)) rows.append(row(flow.getNamespace(), flow.getId(), flow.getRevision()));
        rows.append("</table><h2>Last executions</h2><table><tr><th>Started<th>Namespace<th>Flow<th>State<th>Id");
        for (Execution it : engine.executions.find(Pageable.from(1, LAST, Sort.of(Sort.Order.desc("start_date"))), Engine.TENANT, List.of()))
            rows.append(row(it.getState().getStartDate(), it.getNamespace(), it.getFlowId(), it.getState().getCurrent(), it.getId()));
        return "<!doctype html><html lang=en><meta charset=utf-8><title>Kestra (lab)</title>"
            + "<style>body{font:16px sans-serif;margin:2em}td,th{text-align:left;padding:.2em 1em .2em 0}</style>"
            + "<h1>Kestra (lab)</h1><p>Kestra's engine 2.0.0 with the lab's front: there is no editor here.</p>" + rows + "</table></html>";
    }

    private static String row(Object... cells) {
        StringBuilder row = new StringBuilder("<tr>");
        for (Object cell : cells)
            row.append("<td>").append(String.valueOf(cell).replace("&", "&amp;").replace("<", "&lt;"));
        return row.toString();
    }
}

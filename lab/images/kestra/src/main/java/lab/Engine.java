package lab;

import io.kestra.core.http.HttpRequest;
import io.kestra.core.http.HttpResponse;
import io.kestra.core.models.executions.Execution;
import io.kestra.core.models.flows.Flow;
import io.kestra.core.models.flows.FlowWithSource;
import io.kestra.core.models.flows.GenericFlow;
import io.kestra.core.models.validations.ModelValidator;
import io.kestra.core.repositories.ExecutionRepositoryInterface;
import io.kestra.core.repositories.FlowRepositoryInterface;
import io.kestra.core.runners.Executor;
import io.kestra.core.runners.Indexer;
import io.kestra.core.runners.Scheduler;
import io.kestra.core.runners.Worker;
import io.kestra.core.serializers.YamlParser;
import io.kestra.core.server.Service;
import io.kestra.core.services.FlowService;
import io.kestra.core.services.WebhookService;
import io.kestra.core.utils.IdUtils;
import io.kestra.core.worker.Controller;
import io.kestra.plugin.core.trigger.AbstractWebhookTrigger;
import io.kestra.plugin.core.trigger.WebhookContext;
import io.micronaut.context.ApplicationContext;
import jakarta.inject.Inject;
import jakarta.inject.Singleton;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

/** Kestra's executor, controller, worker, scheduler and indexer in this JVM, and the calls the API makes to them. */
@Singleton
class Engine {
    static final String TENANT = "main";
    private static final Duration START_LIMIT = Duration.ofSeconds(120);
    private static final Duration CALL_LIMIT = Duration.ofSeconds(60);

    @Inject ApplicationContext context;
    @Inject FlowRepositoryInterface flows;
    @Inject ExecutionRepositoryInterface executions;
    @Inject FlowService flowService;
    @Inject ModelValidator validator;
    @Inject WebhookService webhooks;

    void start() throws InterruptedException {
        Executor executor = context.getBean(Executor.class);
        Controller controller = context.getBean(Controller.class);
        Worker worker = context.getBean(Worker.class);
        Scheduler scheduler = context.getBean(Scheduler.class);
        Indexer indexer = context.getBean(Indexer.class);
        List<Runnable> starts = List.of(executor, controller::start, () -> worker.start(Worker.defaultNumThreads()), scheduler, indexer);
        for (Runnable start : starts) Thread.ofPlatform().daemon().start(start);
        List<Service> services = List.of(executor, controller, worker, scheduler, indexer);
        long end = System.nanoTime() + START_LIMIT.toNanos();
        while (!services.stream().allMatch(it -> it.getState() == Service.ServiceState.RUNNING)) {
            if (System.nanoTime() > end)
                throw new Refusal("the engine did not start: " + services.stream().map(it -> it.getType() + " " + it.getState()).toList());
            Thread.sleep(20);
        }
    }

    Flow parse(String source) {
        Flow flow = YamlParser.parse(source, Flow.class);
        validator.validate(flow);
        return flow;
    }

    FlowWithSource create(String source) throws Exception {
        parse(source);
        return flowService.create(GenericFlow.fromYaml(TENANT, source));
    }

    FlowWithSource update(FlowWithSource old, String source) throws Exception {
        parse(source);
        return flowService.update(GenericFlow.fromYaml(TENANT, source), old);
    }

    FlowWithSource flow(String namespace, String id) {
        return flows.findByIdWithSource(TENANT, namespace, id)
            .orElseThrow(() -> new NoSuchElementException("Unable to find flow '" + namespace + "." + id + "'"));
    }

    Execution execution(String id) {
        return executions.findById(TENANT, id)
            .orElseThrow(() -> new NoSuchElementException("Unable to find execution '" + id + "'"));
    }

    void start(Execution execution) {
        webhooks.startExecution(execution).block(CALL_LIMIT);
    }

    /** What the official webserver does for a webhook call: find the trigger by its key and let it answer. */
    HttpResponse<?> webhook(String method, URI uri, Map<String, List<String>> headers, String body, String namespace, String id, String key)
        throws Exception {
        Flow flow = flows.findById(TENANT, namespace, id).orElse(null);
        if (flow == null || flow.isDisabled() || flow.getTriggers() == null) return HttpResponse.of(HttpResponse.Status.NOT_FOUND);
        AbstractWebhookTrigger trigger = flow.getTriggers().stream()
            .filter(it -> it instanceof AbstractWebhookTrigger && !it.isDisabled()).map(AbstractWebhookTrigger.class::cast)
            .filter(it -> key.equals(keyOf(flow, it))).findFirst().orElse(null);
        if (trigger == null) return HttpResponse.of(HttpResponse.Status.NOT_FOUND);
        HttpRequest request = HttpRequest.builder().method(method).uri(uri)
            .headers(HttpHeaders.of(headers, (name, value) -> true))
            .body(body == null ? null : HttpRequest.StringRequestBody.of(body)).build();
        return trigger.evaluate(WebhookContext.builder().request(request).flow(flow).trigger(trigger)
            .webhookService(webhooks).executionId(IdUtils.create()).build()).block(CALL_LIMIT);
    }

    /** A key may be an expression such as {{ secret('X') }}; one that cannot be rendered matches nothing. */
    private String keyOf(Flow flow, AbstractWebhookTrigger trigger) {
        try {
            return webhooks.runContext(flow, trigger).render(trigger.getKey()).trim();
        } catch (Exception e) {
            return null;
        }
    }
}

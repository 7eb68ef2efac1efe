package lab;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import io.kestra.core.models.Label;
import io.kestra.core.models.QueryFilter;
import io.kestra.core.models.executions.Execution;
import io.kestra.core.models.executions.ExecutionKilled;
import io.kestra.core.models.executions.ExecutionKilledExecution;
import io.kestra.core.models.executions.LogEntry;
import io.kestra.core.models.executions.TaskRun;
import io.kestra.core.models.flows.Flow;
import io.kestra.core.models.flows.State;
import io.kestra.core.queues.BroadcastQueueInterface;
import io.kestra.core.repositories.LogDataStoreInterface;
import io.kestra.core.runners.FlowInputOutput;
import io.kestra.core.services.ExecutionOutputService;
import io.kestra.core.services.ExecutionService;
import io.kestra.core.services.TaskOutputService;
import io.micronaut.context.annotation.Value;
import io.micronaut.core.annotation.Nullable;
import io.micronaut.data.model.Sort;
import io.micronaut.http.HttpRequest;
import io.micronaut.http.HttpResponse;
import io.micronaut.http.HttpStatus;
import io.micronaut.http.MediaType;
import io.micronaut.http.annotation.Body;
import io.micronaut.http.annotation.Consumes;
import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Delete;
import io.micronaut.http.annotation.Get;
import io.micronaut.http.annotation.Post;
import io.micronaut.http.annotation.QueryValue;
import io.micronaut.http.multipart.CompletedPart;
import io.micronaut.http.server.multipart.MultipartBody;
import io.micronaut.scheduling.TaskExecutors;
import io.micronaut.scheduling.annotation.ExecuteOn;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.reactivestreams.Publisher;
import org.slf4j.event.Level;
import reactor.core.publisher.Flux;

/** Kestra's API of executions, their logs and outputs. */
@Controller("/api/v1/main")
@ExecuteOn(TaskExecutors.BLOCKING)
class ExecutionApi {
    private static final Duration WAIT_LIMIT = Duration.ofMinutes(10);

    private final Engine engine;
    private final ExecutionService executionService;
    private final FlowInputOutput inputs;
    private final LogDataStoreInterface logs;
    private final ExecutionOutputService flowOutputs;
    private final TaskOutputService taskOutputs;
    private final BroadcastQueueInterface<ExecutionKilled> kills;
    private final String url;

    ExecutionApi(Engine engine, ExecutionService executionService, FlowInputOutput inputs, LogDataStoreInterface logs,
                 ExecutionOutputService flowOutputs, TaskOutputService taskOutputs, BroadcastQueueInterface<ExecutionKilled> kills,
                 @Value("${kestra.url:`http://localhost:8080`}") String url) {
        this.engine = engine;
        this.executionService = executionService;
        this.inputs = inputs;
        this.logs = logs;
        this.flowOutputs = flowOutputs;
        this.taskOutputs = taskOutputs;
        this.kills = kills;
        this.url = url.replaceAll("/+$", "");
    }

    /** An execution and where to look at it. */
    record Started(@JsonUnwrapped Execution execution, String url) {}

    @Post("/executions/{namespace}/{id}")
    @Consumes(MediaType.MULTIPART_FORM_DATA)
    Started start(String namespace, String id, @Nullable @Body MultipartBody parts, @QueryValue(defaultValue = "false") boolean wait,
                  @Nullable @QueryValue List<String> labels) throws Exception {
        return start(namespace, id, parts == null ? Flux.empty() : Flux.from(parts), wait, labels);
    }

    @Post("/executions/{namespace}/{id}")
    @Consumes(MediaType.ALL)
    Started startWithoutInputs(String namespace, String id, @QueryValue(defaultValue = "false") boolean wait,
                               @Nullable @QueryValue List<String> labels) throws Exception {
        return start(namespace, id, Flux.empty(), wait, labels);
    }

    private Started start(String namespace, String id, Publisher<CompletedPart> parts, boolean wait, List<String> labels) throws Exception {
        Flow flow = engine.flow(namespace, id).toFlow();
        if (flow.isDisabled()) throw new IllegalArgumentException("flow '" + namespace + "." + id + "' is disabled");
        List<Label> given = labels == null ? List.of() : labels.stream()
            .map(it -> new Label(it.substring(0, it.indexOf(':')), it.substring(it.indexOf(':') + 1))).toList();
        Execution execution = Execution.newExecution(flow, given);
        execution = execution.withInputs(inputs.readExecutionInputs(flow, execution, parts).block());
        engine.start(execution);
        if (wait) {
            long end = System.nanoTime() + WAIT_LIMIT.toNanos();
            do {
                Thread.sleep(50);
                execution = engine.executions.findById(Engine.TENANT, execution.getId()).orElse(execution);
            } while (!executionService.isTerminated(flow, execution) && System.nanoTime() < end);
        }
        return new Started(execution, url + "/ui/main/executions/" + namespace + "/" + id + "/" + execution.getId());
    }

    @Get("/executions/{executionId}")
    Execution execution(String executionId) {
        return engine.execution(executionId);
    }

    @Get("/executions/search")
    Map<String, Object> search(HttpRequest<?> request) {
        List<QueryFilter> filters = Search.filters(request, QueryFilter.Resource.EXECUTION, "namespace", "flowId", "state");
        var found = engine.executions.find(Search.page(request, Sort.of(Sort.Order.desc("start_date"))), Engine.TENANT, filters);
        // Kestra 2.0 leaves the task runs out of search results.
        return Search.answer(found.map(it -> it.withTaskRunList(null)));
    }

    @Get("/executions")
    Map<String, Object> ofFlow(HttpRequest<?> request, @QueryValue String namespace, @QueryValue String flowId) {
        return Search.answer(engine.executions.findByFlowId(Engine.TENANT, namespace, flowId,
            Search.page(request, Sort.of(Sort.Order.desc("start_date")))));
    }

    @Delete("/executions/{executionId}/actions/kill")
    HttpResponse<Execution> kill(String executionId, @QueryValue(defaultValue = "true") boolean isOnKillCascade) throws Exception {
        Execution execution = engine.execution(executionId);
        if (execution.getState().isTerminated())
            return HttpResponse.status(HttpStatus.CONFLICT, "Execution is already finished, can't kill it");
        kills.emit(ExecutionKilledExecution.builder().state(ExecutionKilled.State.REQUESTED).tenantId(Engine.TENANT)
            .executionId(executionId).executionState(State.Type.KILLING).isOnKillCascade(isOnKillCascade).build());
        return HttpResponse.<Execution>accepted().body(execution);
    }

    @Delete("/executions/{executionId}")
    HttpResponse<?> delete(String executionId, @QueryValue(defaultValue = "true") boolean deleteLogs,
                           @QueryValue(defaultValue = "true") boolean deleteMetrics,
                           @QueryValue(defaultValue = "true") boolean deleteStorage) throws Exception {
        executionService.delete(engine.execution(executionId), deleteLogs, deleteMetrics, deleteStorage);
        return HttpResponse.noContent();
    }

    @Get("/logs/{executionId}")
    List<LogEntry> logs(String executionId, @Nullable @QueryValue Level minLevel, @Nullable @QueryValue String taskId) {
        return taskId == null ? logs.findByExecutionId(Engine.TENANT, executionId, minLevel)
            : logs.findByExecutionIdAndTaskId(Engine.TENANT, executionId, taskId, minLevel);
    }

    @Get("/outputs/executions/{executionId}")
    Map<String, Object> flowOutputs(String executionId) throws Exception {
        return flowOutputs.getOutputs(engine.execution(executionId));
    }

    @Get("/outputs/tasks/{executionId}/{taskRunId}")
    Map<String, Object> taskOutputs(String executionId, String taskRunId) throws Exception {
        TaskRun run = engine.execution(executionId).findTaskRunByTaskRunId(taskRunId);
        return taskOutputs.getOutputs(run);
    }
}

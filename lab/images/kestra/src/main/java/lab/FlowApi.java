package lab;

import io.kestra.core.models.QueryFilter;
import io.kestra.core.models.flows.Flow;
import io.kestra.core.models.flows.FlowSource;
import io.kestra.core.models.flows.FlowWithSource;
import io.kestra.core.models.validations.ManualConstraintViolation;
import io.kestra.core.models.validations.ValidateConstraintViolation;
import io.micronaut.core.annotation.Nullable;
import io.micronaut.data.model.Sort;
import io.micronaut.http.HttpRequest;
import io.micronaut.http.HttpResponse;
import io.micronaut.http.MediaType;
import io.micronaut.http.annotation.Body;
import io.micronaut.http.annotation.Consumes;
import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Delete;
import io.micronaut.http.annotation.Get;
import io.micronaut.http.annotation.Post;
import io.micronaut.http.annotation.Put;
import io.micronaut.http.annotation.QueryValue;
import io.micronaut.http.multipart.CompletedFileUpload;
import io.micronaut.scheduling.TaskExecutors;
import io.micronaut.scheduling.annotation.ExecuteOn;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Kestra's API of flows: what kestrapy, Terraform's provider and plugin-git use. Bodies are YAML. */
@Controller("/api/v1/main/flows")
@ExecuteOn(TaskExecutors.BLOCKING)
class FlowApi {
    private static final String YAML = "application/x-yaml";

    private final Engine engine;

    FlowApi(Engine engine) {
        this.engine = engine;
    }

    @Post
    @Consumes(YAML)
    FlowWithSource create(@Body String source) throws Exception {
        return engine.create(source);
    }

    @Put("/{namespace}/{id}")
    @Consumes(YAML)
    FlowWithSource update(String namespace, String id, @Body String source) throws Exception {
        return engine.update(engine.flow(namespace, id), source);
    }

    @Get("/{namespace}/{id}")
    Object flow(String namespace, String id, @QueryValue(defaultValue = "false") boolean source, @Nullable @QueryValue Integer revision,
                @QueryValue(defaultValue = "false") boolean allowDeleted) {
        Optional<FlowWithSource> found = engine.flows.findByIdWithSource(Engine.TENANT, namespace, id, Optional.ofNullable(revision), allowDeleted);
        FlowWithSource flow = found.orElseThrow(() -> new NoSuchElementException("Unable to find flow '" + namespace + "." + id + "'"));
        return source ? flow : flow.toFlow();
    }

    @Delete("/{namespace}/{id}")
    HttpResponse<?> delete(String namespace, String id) {
        engine.flowService.delete(engine.flow(namespace, id));
        return HttpResponse.noContent();
    }

    @Get("/{namespace}/{id}/revisions")
    List<FlowWithSource> revisions(String namespace, String id, @QueryValue(defaultValue = "false") boolean allowDelete) {
        return engine.flows.findRevisions(Engine.TENANT, namespace, id, allowDelete);
    }

    @Get("/search")
    Map<String, Object> search(HttpRequest<?> request) {
        List<QueryFilter> filters = Search.filters(request, QueryFilter.Resource.FLOW, "namespace");
        return Search.answer(engine.flows.find(Search.page(request, Sort.of(Sort.Order.asc("id"))), Engine.TENANT, filters));
    }

    @Get("/{namespace}")
    List<Flow> inNamespace(String namespace) {
        return engine.flows.findByNamespace(Engine.TENANT, namespace);
    }

    @Post("/validate")
    @Consumes(YAML)
    List<ValidateConstraintViolation> validate(@Body String sources) {
        return engine.flowService.validate(Engine.TENANT, split(sources).stream().map(it -> new FlowSource("body", it)).toList());
    }

    @Post("/bulk")
    @Consumes(YAML)
    List<FlowWithSource> bulk(@Nullable @Body String sources, @Nullable @QueryValue String namespace,
                              @QueryValue(defaultValue = "true") boolean delete) throws Exception {
        return replace(namespace, split(sources), delete);
    }

    @Post("/{namespace}")
    @Consumes(YAML)
    List<FlowWithSource> replaceNamespace(String namespace, @Nullable @Body String sources,
                                          @QueryValue(defaultValue = "true") boolean delete) throws Exception {
        return replace(namespace, split(sources), delete);
    }

    @Post("/import")
    @Consumes(MediaType.MULTIPART_FORM_DATA)
    List<String> importFlows(CompletedFileUpload fileUpload, @QueryValue(defaultValue = "false") boolean failOnError) throws Exception {
        if (!fileUpload.getFilename().matches(".*\\.ya?ml")) throw new IllegalArgumentException("the lab's Kestra imports YAML only");
        for (String source : split(new String(fileUpload.getBytes(), StandardCharsets.UTF_8))) engine.flowService.importFlow(Engine.TENANT, source);
        return List.of();
    }

    @Get(uri = "/export/by-query", produces = MediaType.APPLICATION_OCTET_STREAM)
    byte[] export(HttpRequest<?> request) throws IOException {
        List<QueryFilter> filters = Search.filters(request, QueryFilter.Resource.FLOW);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (FlowWithSource flow : engine.flows.findWithSource(io.micronaut.data.model.Pageable.UNPAGED, Engine.TENANT, filters)) {
                zip.putNextEntry(new ZipEntry(flow.getNamespace() + "." + flow.getId() + ".yml"));
                zip.write(flow.getSource().getBytes(StandardCharsets.UTF_8));
            }
        }
        return bytes.toByteArray();
    }

    private static List<String> split(String sources) {
        return sources == null ? List.of()
            : Stream.of(sources.split("(?m)^---\\s*$")).filter(it -> !it.isBlank()).map(String::strip).toList();
    }

    /** All are checked before any is written. */
    private List<FlowWithSource> replace(String namespace, List<String> sources, boolean delete) throws Exception {
        List<Flow> parsed = sources.stream().map(engine::parse).toList();
        for (Flow flow : parsed)
            if (namespace != null && !flow.getNamespace().equals(namespace))
                throw ManualConstraintViolation.toConstraintViolationException(
                    "Flow namespace is invalid", flow, Flow.class, "flow.namespace", flow.getNamespace());
        List<FlowWithSource> answer = new ArrayList<>();
        if (delete)
            for (FlowWithSource old : namespace == null ? engine.flows.findAllWithSource(Engine.TENANT)
                : engine.flows.findByNamespaceWithSource(Engine.TENANT, namespace))
                if (parsed.stream().noneMatch(it -> it.getNamespace().equals(old.getNamespace()) && it.getId().equals(old.getId())))
                    answer.add(engine.flowService.delete(old));
        for (int i = 0; i < sources.size(); i++) {
            Flow flow = parsed.get(i);
            Optional<FlowWithSource> old = engine.flows.findByIdWithSource(Engine.TENANT, flow.getNamespace(), flow.getId());
            answer.add(old.isPresent() ? engine.update(old.get(), sources.get(i)) : engine.create(sources.get(i)));
        }
        return answer;
    }
}

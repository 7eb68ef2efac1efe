package io.kestra.plugin.git;

import io.kestra.core.exceptions.FlowProcessingException;
import io.kestra.core.models.annotations.Plugin;
import io.kestra.core.models.flows.Flow;
import io.kestra.core.models.flows.FlowWithSource;
import io.kestra.core.models.property.Property;
import io.kestra.core.models.tasks.RunnableTask;
import io.kestra.core.runners.RunContext;
import io.kestra.core.serializers.YamlParser;
import jakarta.validation.constraints.NotNull;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.eclipse.jgit.api.Git;

/** Stand-in for plugin-git's task: makes a namespace's flows equal to a directory of a Git branch. */
@Plugin
public class SyncFlows extends GitTask implements RunnableTask<SyncFlows.Output> {
    @NotNull public Property<String> targetNamespace;
    public Property<Boolean> delete = Property.ofValue(false);
    public Property<Boolean> ignoreInvalidFlows = Property.ofValue(false);
    public Property<Boolean> failOnMissingDirectory = Property.ofValue(true);

    public record Output(URI flows) implements io.kestra.core.models.tasks.Output {}

    @Override
    public Output run(RunContext run) throws Exception {
        KestraApi api = api(run);
        String namespace = text(run, targetNamespace);
        boolean dry = is(run, dryRun), children = is(run, includeChildNamespaces);
        List<Map<String, Object>> done = new ArrayList<>();
        try (Git git = checkOut(run)) {
            Map<String, FlowWithSource> before = new HashMap<>();
            for (FlowWithSource flow : api.export(namespace, children))
                // STARTS_WITH also finds a sibling such as prod2 of prod.
                if (flow.getNamespace().equals(namespace) || flow.getNamespace().startsWith(namespace + ".")) before.put(name(flow), flow);
            Set<String> seen = new HashSet<>();
            Path directory = directory(run);
            for (Path file : files(run, directory, children)) {
                Path relative = directory.relativize(file);
                String target = relative.getParent() == null ? namespace : namespace + "." + relative.getParent().toString().replace('/', '.');
                String source = Files.readString(file).replaceFirst("(?m)^namespace: .*$", "namespace: " + target).stripTrailing();
                String violations = api.violations(source);
                if (violations != null) {
                    if (!is(run, ignoreInvalidFlows))
                        throw new FlowProcessingException("Invalid flow imported from Git (" + relative + "): " + violations);
                    run.logger().warn("Invalid flow imported from Git ({}): {}", relative, violations);
                    continue;
                }
                Flow flow = YamlParser.parse(source, Flow.class);
                seen.add(name(flow));
                FlowWithSource old = before.get(name(flow));
                boolean same = old != null && old.getSource().stripTrailing().equals(source);
                if (!same && !dry) api.write(flow.getId(), source);
                done.add(row(flow, same ? "UNCHANGED" : old == null ? "ADDED" : "UPDATED", text(run, gitDirectory) + "/" + relative));
            }
            for (FlowWithSource old : before.values()) {
                boolean self = Objects.equals(run.flowInfo().namespace(), old.getNamespace()) && run.flowInfo().id().equals(old.getId());
                if (!is(run, delete) || self || seen.contains(name(old))) continue;
                if (!dry) api.delete(old.getNamespace(), old.getId());
                done.add(row(old, "DELETED", null));
            }
        }
        return new Output(store(run, done));
    }

    private List<Path> files(RunContext run, Path directory, boolean children) throws Exception {
        if (!Files.isDirectory(directory)) {
            if (!is(run, failOnMissingDirectory)) return List.of();
            throw new IllegalArgumentException("The directory '" + text(run, gitDirectory) + "' was not found in the git repository."
                + " Verify if the path exists in the specified branch '" + text(run, branch) + "'.");
        }
        try (Stream<Path> found = Files.walk(directory, children ? Integer.MAX_VALUE : 1)) {
            return found.filter(Files::isRegularFile).filter(it -> !it.toString().contains("/.git"))
                .sorted(Comparator.comparing(Path::getNameCount)).toList();
        }
    }

    private static String name(Flow flow) {
        return flow.getNamespace() + "." + flow.getId();
    }

    private static Map<String, Object> row(Flow flow, String state, String path) {
        Map<String, Object> row = new HashMap<>(Map.of("flowId", flow.getId(), "namespace", flow.getNamespace(), "syncState", state));
        if (path != null) row.put("gitPath", path);
        return row;
    }
}

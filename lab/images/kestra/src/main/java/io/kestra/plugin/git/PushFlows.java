package io.kestra.plugin.git;

import io.kestra.core.models.annotations.Plugin;
import io.kestra.core.models.flows.FlowWithSource;
import io.kestra.core.models.property.Property;
import io.kestra.core.models.tasks.RunnableTask;
import io.kestra.core.runners.RunContext;
import java.net.URI;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.eclipse.jgit.api.CommitCommand;
import org.eclipse.jgit.api.Git;
import org.eclipse.jgit.api.errors.EmptyCommitException;
import org.eclipse.jgit.lib.Constants;
import org.eclipse.jgit.lib.PersonIdent;
import org.eclipse.jgit.transport.PushResult;
import org.eclipse.jgit.transport.RemoteRefUpdate;

/** Stand-in for plugin-git's task: commits a namespace's flows to a directory of a Git branch and pushes it. */
@Plugin
public class PushFlows extends GitTask implements RunnableTask<PushFlows.Output> {
    public Property<String> sourceNamespace = Property.ofExpression("{{ flow.namespace }}");
    public Property<String> targetNamespace;
    /** A glob or a list of globs of flow ids. */
    public Object flows;
    public Property<Boolean> delete = Property.ofValue(true);
    public Property<String> commitMessage;
    public Property<String> authorName;
    public Property<String> authorEmail;

    public record Output(String commitId, String commitURL, URI flows) implements io.kestra.core.models.tasks.Output {}

    @Override
    public Output run(RunContext run) throws Exception {
        String source = text(run, sourceNamespace);
        String target = targetNamespace == null ? source : text(run, targetNamespace);
        try (Git git = checkOut(run)) {
            Path root = run.workingDir().path(), directory = directory(run);
            List<PathMatcher> globs = globs(run);
            Set<Path> written = new HashSet<>();
            for (FlowWithSource flow : api(run).export(source, is(run, includeChildNamespaces))) {
                boolean inside = flow.getNamespace().equals(source) || flow.getNamespace().startsWith(source + ".");
                if (!inside || flow.isDraft() || globs.stream().noneMatch(it -> it.matches(Path.of(flow.getId())))) continue;
                String below = flow.getNamespace().substring(source.length()).replaceFirst("^\\.", "").replace('.', '/');
                Path file = directory.resolve(below).resolve(flow.getId() + ".yml");
                Files.createDirectories(file.getParent());
                Files.writeString(file, flow.getSource()
                    .replaceAll("(?m)^(\\s*namespace:\\s*)" + Pattern.quote(source), "$1" + target));
                written.add(file);
            }
            if (written.isEmpty()) {
                run.logger().info("No content to push - skipping Git operations.");
                return new Output(null, null, null);
            }
            List<Map<String, Object>> changes = new ArrayList<>();
            if (is(run, delete))
                for (Path file : others(directory, written)) {
                    if (globs.stream().noneMatch(it -> it.matches(Path.of(stem(file))))) continue;
                    git.rm().addFilepattern(root.relativize(file).toString()).call();
                }
            for (Path file : written) git.add().addFilepattern(root.relativize(file).toString()).call();
            var status = git.status().call();
            status.getAdded().forEach(it -> changes.add(Map.of("file", it, "change", "ADDED")));
            status.getChanged().forEach(it -> changes.add(Map.of("file", it, "change", "CHANGED")));
            status.getRemoved().forEach(it -> changes.add(Map.of("file", it, "change", "DELETED")));
            if (is(run, dryRun)) {
                run.logger().info("Dry run — no changes will be pushed to {}", text(run, url));
                return new Output(null, null, store(run, changes));
            }
            String commit = commit(run, git, source);
            if (commit == null) return new Output(null, null, null);
            push(run, git);
            String page = text(run, url).replaceFirst("//.*@", "//").replaceFirst("\\.git$", "") + "/commit/" + commit;
            run.logger().info("Pushed to {}", page);
            return new Output(commit, page, store(run, changes));
        }
    }

    private String commit(RunContext run, Git git, String namespace) throws Exception {
        String name = authorName != null ? text(run, authorName) : text(run, username), mail = text(run, authorEmail);
        CommitCommand command = git.commit().setAllowEmpty(false)
            .setMessage(commitMessage != null ? text(run, commitMessage) : "Add flows from " + namespace + " namespace");
        if (name != null && mail != null) {
            PersonIdent author = new PersonIdent(name, mail);
            command.setAuthor(author).setCommitter(author);
        }
        boolean first = git.getRepository().resolve(Constants.HEAD) == null;
        try {
            String id = command.call().getName();
            if (first) git.branchRename().setNewName(text(run, branch)).call();
            return id;
        } catch (EmptyCommitException e) {
            run.logger().info("No changes to commit. Skipping push.");
            return null;
        }
    }

    private void push(RunContext run, Git git) throws Exception {
        for (PushResult result : login(run, git.push()).call())
            for (RemoteRefUpdate update : result.getRemoteUpdates())
                if (update.getStatus() != RemoteRefUpdate.Status.OK && update.getStatus() != RemoteRefUpdate.Status.UP_TO_DATE)
                    throw new IllegalStateException("push to " + update.getRemoteName() + " refused: " + update.getStatus() + " "
                        + update.getMessage() + " " + result.getMessages());
    }

    private List<PathMatcher> globs(RunContext run) throws Exception {
        List<String> patterns = new ArrayList<>();
        if (flows instanceof List<?> list) for (Object pattern : list) patterns.add(run.render(pattern.toString()));
        else patterns.add(flows == null ? "**" : run.render(flows.toString()));
        return patterns.stream().map(it -> FileSystems.getDefault().getPathMatcher("glob:" + it)).toList();
    }

    private static List<Path> others(Path directory, Set<Path> written) throws Exception {
        try (Stream<Path> files = Files.walk(directory)) {
            return files.filter(Files::isRegularFile).filter(it -> !it.toString().contains("/.git/") && !written.contains(it)).toList();
        }
    }

    private static String stem(Path file) {
        return file.getFileName().toString().replaceFirst("\\.[^.]*$", "");
    }
}

package io.kestra.plugin.fs.ssh;

import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.OpenSSHConfig;
import com.jcraft.jsch.Session;
import io.kestra.core.models.annotations.Plugin;
import io.kestra.core.models.property.Property;
import io.kestra.core.models.tasks.RunnableTask;
import io.kestra.core.models.tasks.Task;
import io.kestra.core.models.tasks.runners.PluginUtilsService;
import io.kestra.core.runners.RunContext;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Stand-in for plugin-fs' task, over the same library (JSch) with the same properties and defaults.
 *
 * Maven Central ends at plugin-fs 0.17.0, which knows neither OPEN_SSH nor outputs as Kestra 2.0 has them. proxyCommand is
 * not there: it is refused at validation as an unknown property.
 */
@Plugin
public class Command extends Task implements RunnableTask<Command.Output> {
    private static final String ALLOW_OPEN_SSH = "allow-open-ssh-config";

    public enum AuthMethod { PASSWORD, PUBLIC_KEY, OPEN_SSH }

    @NotNull public Property<String> host;
    public Property<String> port = Property.ofValue("22");
    public Property<String> username;
    public Property<String> password;
    public Property<String> privateKey;
    public Property<String> privateKeyPassphrase;
    public Property<AuthMethod> authMethod = Property.ofValue(AuthMethod.PASSWORD);
    public Property<String> openSSHConfigDir = Property.ofValue("~/.ssh/config");
    public Property<String> openSSHConfigPath;
    public Property<String> strictHostKeyChecking = Property.ofValue("no");
    public Property<Map<String, String>> env;
    public Property<Boolean> enableSshRsa1 = Property.ofValue(false);
    public Property<Boolean> warningOnStdErr;
    @NotNull @NotEmpty public String[] commands;

    public record Output(int exitCode, Map<String, Object> vars) implements io.kestra.core.models.tasks.Output {}

    @Override
    public Output run(RunContext run) throws Exception {
        AuthMethod method = run.render(authMethod).as(AuthMethod.class).orElseThrow();
        String secret = text(run, password), key = text(run, privateKey), passphrase = text(run, privateKeyPassphrase);
        if (method == AuthMethod.PASSWORD && secret == null)
            throw new IllegalArgumentException("Password is necessary for given SSH auth method: PASSWORD");
        if (method == AuthMethod.PUBLIC_KEY && key == null)
            throw new IllegalArgumentException("Private key is necessary for given SSH auth method: PUBLIC_KEY");
        if (method == AuthMethod.OPEN_SSH && !run.<Boolean>pluginConfiguration(ALLOW_OPEN_SSH).orElse(false))
            throw new IllegalArgumentException("You need to allow access to the host OpenSSH configuration via the plugin configuration `"
                + ALLOW_OPEN_SSH + "`");
        List<String> lines = new ArrayList<>();
        for (String command : commands) lines.add(run.render(command));

        JSch jsch = new JSch();
        if (method == AuthMethod.OPEN_SSH) {
            String file = text(run, openSSHConfigPath);
            jsch.setConfigRepository(OpenSSHConfig.parseFile(file != null ? file : text(run, openSSHConfigDir)));
        }
        Session session = jsch.getSession(text(run, username), text(run, host), Integer.parseInt(text(run, port)));
        if (run.render(enableSshRsa1).as(Boolean.class).orElse(false)) {
            session.setConfig("server_host_key", session.getConfig("server_host_key") + ",ssh-rsa");
            session.setConfig("PubkeyAcceptedAlgorithms", session.getConfig("PubkeyAcceptedAlgorithms") + ",ssh-rsa");
        }
        switch (method) {
            case PASSWORD -> {
                session.setConfig("PreferredAuthentications", "password");
                session.setPassword(secret);
            }
            case PUBLIC_KEY -> {
                session.setConfig("PreferredAuthentications", "publickey");
                jsch.addIdentity("primary", bytes(key), null, bytes(passphrase));
            }
            case OPEN_SSH -> {
                if (secret != null) session.setPassword(secret);
                if (passphrase != null) throw new IllegalArgumentException("lab stand-in: OPEN_SSH with privateKeyPassphrase is not there");
            }
        }
        // After the file was applied, as in plugin-fs: the task's value, "no" when it has none, wins over the file's.
        session.setConfig("StrictHostKeyChecking", text(run, strictHostKeyChecking));
        Map<String, String> variables = run.render(env).asMap(String.class, String.class);
        try {
            session.connect();
            return execute(run, (ChannelExec) session.openChannel("exec"), String.join("\n", lines), variables);
        } finally {
            session.disconnect();
        }
    }

    private static Output execute(RunContext run, ChannelExec channel, String script, Map<String, String> variables) throws Exception {
        channel.setCommand(script);
        variables.forEach(channel::setEnv);
        Map<String, Object> vars = new ConcurrentHashMap<>();
        try {
            Thread out = follow(run, channel.getInputStream(), false, vars), err = follow(run, channel.getErrStream(), true, vars);
            channel.connect();
            out.join();
            err.join();
            while (!channel.isClosed()) Thread.sleep(25);
        } finally {
            channel.disconnect();
        }
        if (channel.getExitStatus() != 0) throw new Exception("SSH command fails with exit status " + channel.getExitStatus());
        return new Output(channel.getExitStatus(), vars);
    }

    private static Thread follow(RunContext run, InputStream stream, boolean error, Map<String, Object> vars) {
        return Thread.ofVirtual().start(() -> {
            try (BufferedReader reader = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
                for (String line = reader.readLine(); line != null; line = reader.readLine())
                    vars.putAll(PluginUtilsService.parseOut(line, run.logger(), run, error, null));
            } catch (IOException e) {
                run.logger().warn("output of the command was cut: {}", e.getMessage());
            }
        });
    }

    private static String text(RunContext run, Property<String> property) throws Exception {
        return run.render(property).as(String.class).orElse(null);
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }
}

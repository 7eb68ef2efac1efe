package lab;

import io.micronaut.core.annotation.Nullable;
import io.micronaut.http.HttpRequest;
import io.micronaut.http.HttpResponse;
import io.micronaut.http.HttpStatus;
import io.micronaut.http.MediaType;
import io.micronaut.http.MutableHttpResponse;
import io.micronaut.http.annotation.Body;
import io.micronaut.http.annotation.Consumes;
import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Get;
import io.micronaut.http.annotation.Post;
import io.micronaut.http.annotation.Put;
import io.micronaut.scheduling.TaskExecutors;
import io.micronaut.scheduling.annotation.ExecuteOn;
import java.nio.charset.StandardCharsets;

/** Webhook calls, with the tenant in the path and without; the longer route …/{key}/{path} is not there. */
@Controller
@ExecuteOn(TaskExecutors.BLOCKING)
class WebhookApi {
    private static final String PATH = "/api/v1/main/executions/webhook/{namespace}/{id}/{key}";
    private static final String ALIAS = "/api/v1/executions/webhook/{namespace}/{id}/{key}";

    private final Engine engine;

    WebhookApi(Engine engine) {
        this.engine = engine;
    }

    @Get(uris = {PATH, ALIAS})
    HttpResponse<?> get(HttpRequest<?> request, String namespace, String id, String key) throws Exception {
        return call(request, null, namespace, id, key);
    }

    @Post(uris = {PATH, ALIAS})
    @Consumes(MediaType.ALL)
    HttpResponse<?> post(HttpRequest<?> request, @Nullable @Body byte[] body, String namespace, String id, String key) throws Exception {
        return call(request, body, namespace, id, key);
    }

    @Put(uris = {PATH, ALIAS})
    @Consumes(MediaType.ALL)
    HttpResponse<?> put(HttpRequest<?> request, @Nullable @Body byte[] body, String namespace, String id, String key) throws Exception {
        return call(request, body, namespace, id, key);
    }

    private HttpResponse<?> call(HttpRequest<?> request, byte[] body, String namespace, String id, String key) throws Exception {
        var answer = engine.webhook(request.getMethodName(), request.getUri(), request.getHeaders().asMap(),
            body == null ? null : new String(body, StandardCharsets.UTF_8), namespace, id, key);
        MutableHttpResponse<Object> response = HttpResponse.status(HttpStatus.valueOf(answer.getStatus().getCode()));
        if (answer.getHeaders() != null) answer.getHeaders().firstValue("Content-Type").ifPresent(response::contentType);
        return answer.getBody() == null ? response : response.body(answer.getBody());
    }
}

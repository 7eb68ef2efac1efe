package lab;

import io.micronaut.context.annotation.Value;
import io.micronaut.core.annotation.Nullable;
import io.micronaut.http.HttpRequest;
import io.micronaut.http.HttpResponse;
import io.micronaut.http.HttpStatus;
import io.micronaut.http.annotation.RequestFilter;
import io.micronaut.http.annotation.ServerFilter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.List;

/** Basic auth on everything but open-urls, which are raw prefixes of the path as in Kestra; and no call without a database. */
@ServerFilter(patterns = {"/api/**", "/ui", "/ui/**", "/"})
class Auth {
    /** Asked before anybody is logged in; says nothing but that a login is set up. */
    private static final String LOGIN_STATE = "/api/v1/configs/login";

    private final byte[] expected;
    private final String realm;
    private final List<String> openUrls;
    private final Database database;

    Auth(@Value("${kestra.server.basic-auth.username}") String user, @Value("${kestra.server.basic-auth.password}") String password,
         @Value("${kestra.server.basic-auth.realm:Kestra}") String realm,
         @Value("${kestra.server.basic-auth.open-urls:}") List<String> openUrls, Database database) {
        String credentials = Base64.getEncoder().encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8));
        this.expected = ("Basic " + credentials).getBytes(StandardCharsets.UTF_8);
        this.realm = realm;
        this.openUrls = openUrls.stream().filter(it -> !it.isBlank()).toList();
        this.database = database;
    }

    @RequestFilter
    @Nullable
    HttpResponse<?> check(HttpRequest<?> request) {
        String path = request.getPath();
        if (path.equals(LOGIN_STATE)) return null;
        byte[] given = request.getHeaders().getAuthorization().orElse("").getBytes(StandardCharsets.UTF_8);
        if (openUrls.stream().noneMatch(path::startsWith) && !MessageDigest.isEqual(expected, given))
            return HttpResponse.unauthorized().header("WWW-Authenticate", "Basic realm=\"" + realm + "\"");
        if (database.problem() != null)
            return Errors.answer(request, HttpStatus.INTERNAL_SERVER_ERROR, "Internal server error: " + database.problem(), List.of());
        return null;
    }
}

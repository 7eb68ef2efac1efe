package lab;

import io.kestra.core.exceptions.ConflictException;
import io.kestra.core.exceptions.InputOutputValidationException;
import io.kestra.core.exceptions.NotFoundException;
import io.micronaut.core.convert.exceptions.ConversionErrorException;
import io.micronaut.http.HttpRequest;
import io.micronaut.http.HttpResponse;
import io.micronaut.http.HttpStatus;
import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Error;
import io.micronaut.http.exceptions.ContentLengthExceededException;
import io.micronaut.http.exceptions.HttpStatusException;
import io.micronaut.web.router.exceptions.UnsatisfiedRouteException;
import jakarta.validation.ConstraintViolationException;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Exceptions as the answers Kestra gives: {message, _links, _embedded: {errors: [{message, path}]}}. */
@Controller
class Errors {
    private static final Logger log = LoggerFactory.getLogger(Errors.class);

    @Error(global = true)
    HttpResponse<?> invalid(HttpRequest<?> request, ConstraintViolationException e) {
        List<Map<String, String>> errors = e.getConstraintViolations().stream()
            .map(it -> Map.of("message", it.getMessage(), "path", it.getPropertyPath().toString())).toList();
        return answer(request, HttpStatus.UNPROCESSABLE_ENTITY, "Invalid entity: " + e.getMessage(), errors);
    }

    @Error(global = true)
    HttpResponse<?> illegal(HttpRequest<?> request, IllegalArgumentException e) {
        return answer(request, HttpStatus.UNPROCESSABLE_ENTITY, "Illegal argument: " + e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> input(HttpRequest<?> request, InputOutputValidationException e) {
        return answer(request, HttpStatus.UNPROCESSABLE_ENTITY, e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> unreadable(HttpRequest<?> request, ConversionErrorException e) {
        return answer(request, HttpStatus.UNPROCESSABLE_ENTITY, e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> incomplete(HttpRequest<?> request, UnsatisfiedRouteException e) {
        return answer(request, HttpStatus.BAD_REQUEST, "Bad Request: " + e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> tooLarge(HttpRequest<?> request, ContentLengthExceededException e) {
        return answer(request, HttpStatus.REQUEST_ENTITY_TOO_LARGE, e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> conflict(HttpRequest<?> request, ConflictException e) {
        return answer(request, HttpStatus.CONFLICT, e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> missing(HttpRequest<?> request, NoSuchElementException e) {
        return answer(request, HttpStatus.NOT_FOUND, "Not Found: " + e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> missing(HttpRequest<?> request, NotFoundException e) {
        return answer(request, HttpStatus.NOT_FOUND, "Not Found: " + e.getMessage(), List.of());
    }

    // No handler for the status 404: for an answer that was made while the body was still coming, Micronaut calls it for
    // its own answer again, for ever.

    @Error(global = true)
    HttpResponse<?> refused(HttpRequest<?> request, HttpStatusException e) {
        return answer(request, e.getStatus(), e.getMessage(), List.of());
    }

    @Error(global = true)
    HttpResponse<?> other(HttpRequest<?> request, Throwable e) {
        log.error("{} {}", request.getMethod(), request.getPath(), e);
        return answer(request, HttpStatus.INTERNAL_SERVER_ERROR, "Internal server error: " + e.getMessage(), List.of());
    }

    static HttpResponse<?> answer(HttpRequest<?> request, HttpStatus status, String message, List<Map<String, String>> errors) {
        Map<String, Object> self = Map.of("href", request.getUri().toString(), "templated", false);
        return HttpResponse.status(status)
            .body(Map.of("message", message, "_links", Map.of("self", List.of(self)), "_embedded", Map.of("errors", errors)));
    }
}

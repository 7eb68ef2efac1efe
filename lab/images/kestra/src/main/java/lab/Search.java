package lab;

import io.kestra.core.models.QueryFilter;
import io.kestra.core.repositories.ArrayListTotal;
import io.micronaut.data.model.Pageable;
import io.micronaut.data.model.Sort;
import io.micronaut.http.HttpRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Kestra's search parameters: page, size, sort=field:asc, filters[field][OPERATION]=value. */
class Search {
    private static final Pattern FILTER = Pattern.compile("filters\\[(\\w+)]\\[(\\w+)]");
    private static final Set<String> PAGING = Set.of("page", "size", "sort");

    private Search() {}

    /** Parameters other than paging and filters must be among `plain`, which stand for filters[name][EQUALS]. */
    static List<QueryFilter> filters(HttpRequest<?> request, QueryFilter.Resource resource, String... plain) {
        List<QueryFilter> filters = new ArrayList<>();
        for (Map.Entry<String, List<String>> parameter : request.getParameters().asMap().entrySet()) {
            String name = parameter.getKey(), value = parameter.getValue().getFirst();
            Matcher filter = FILTER.matcher(name);
            if (filter.matches()) filters.add(filter(filter.group(1), filter.group(2), value));
            else if (List.of(plain).contains(name)) filters.add(filter(name, "EQUALS", value));
            else if (!PAGING.contains(name)) throw new IllegalArgumentException("the lab's Kestra does not know the parameter " + name);
        }
        QueryFilter.validateQueryFilters(filters, resource);
        return filters;
    }

    private static QueryFilter filter(String field, String operation, String value) {
        QueryFilter.Op op = QueryFilter.Op.fromString(operation);
        boolean many = op == QueryFilter.Op.IN || op == QueryFilter.Op.NOT_IN;
        return QueryFilter.builder().field(QueryFilter.Field.fromString(field)).operation(op)
            .value(many ? List.of(value.split(",")) : value).build();
    }

    static Pageable page(HttpRequest<?> request, Sort byDefault) {
        List<Sort.Order> orders = request.getParameters().getAll("sort").stream().map(it -> {
            String[] parts = it.split(":");
            return parts.length > 1 && parts[1].equals("desc") ? Sort.Order.desc(parts[0]) : Sort.Order.asc(parts[0]);
        }).toList();
        return Pageable.from(request.getParameters().get("page", Integer.class, 1), request.getParameters().get("size", Integer.class, 10),
            orders.isEmpty() ? byDefault : Sort.of(orders));
    }

    static Map<String, Object> answer(ArrayListTotal<?> found) {
        return Map.of("total", found.getTotal(), "results", List.copyOf(found));
    }
}

//! The words that may stand before a parenthesis without any effect on a session: keywords, type
//! names, and built-in functions that compute.

/// Whether `word(` is certainly no call with an effect on the session.
pub(super) fn may_precede_parenthesis(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    [KEYWORDS, TYPES, FUNCTIONS].iter().any(|list| list.binary_search(&lower.as_str()).is_ok())
}

const KEYWORDS: &[&str] = &[
    "all", "and", "any", "array", "as", "between", "by", "case", "conflict", "cube", "distinct", "else", "end", "except",
    "exists", "filter", "from", "group", "grouping", "having", "ilike", "in", "intersect", "is", "join", "key", "lateral",
    "like", "limit", "materialized", "not", "offset", "on", "or", "over", "returning", "rollup", "row", "select", "set",
    "sets", "similar", "some", "then", "to", "union", "using", "values", "when", "where", "within", "xor",
];

const TYPES: &[&str] = &[
    "bit", "bpchar", "char", "character", "decimal", "float", "interval", "numeric", "time", "timestamp", "timestamptz",
    "timetz", "varbit", "varchar", "varying",
];

const FUNCTIONS: &[&str] = &[
    "abs", "age", "array_agg", "array_append", "array_cat", "array_length", "array_position", "array_prepend",
    "array_remove", "array_replace", "array_to_json", "array_to_string", "ascii", "avg", "bit_and", "bit_or", "bool_and",
    "bool_or", "btrim", "cardinality", "cast", "ceil", "ceiling", "char_length", "chr", "clock_timestamp", "coalesce",
    "concat", "concat_ws", "count", "cume_dist", "date_bin", "date_part", "date_trunc", "decode", "dense_rank", "div",
    "encode", "every", "exp", "extract", "first_value", "floor", "format", "gen_random_uuid", "generate_series",
    "greatest", "initcap", "isfinite", "json_agg", "json_array_elements", "json_array_elements_text",
    "json_array_length", "json_build_array", "json_build_object", "json_each", "json_each_text", "json_extract_path",
    "json_extract_path_text", "json_object", "json_object_agg", "json_object_keys", "json_strip_nulls", "json_typeof",
    "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array",
    "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_query",
    "jsonb_pretty", "jsonb_set", "jsonb_strip_nulls", "jsonb_typeof", "justify_days", "justify_hours",
    "justify_interval", "lag", "last_value", "lead", "least", "left", "length", "ln", "log", "lower", "lpad", "ltrim",
    "make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz", "max", "md5", "min", "mod", "mode",
    "now", "nth_value", "ntile", "nullif", "num_nonnulls", "num_nulls", "octet_length", "overlay", "percent_rank",
    "percentile_cont", "percentile_disc", "phraseto_tsquery", "plainto_tsquery", "position", "power", "quote_ident",
    "quote_literal", "rank", "regexp_count", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "repeat", "replace", "reverse", "right", "round",
    "row_number", "row_to_json", "rpad", "rtrim", "sha224", "sha256", "sha384", "sha512", "sign", "split_part", "sqrt",
    "starts_with", "statement_timestamp", "stddev", "string_agg", "string_to_array", "string_to_table", "strpos",
    "substr", "substring", "sum", "timezone", "to_char", "to_date", "to_json", "to_jsonb", "to_number", "to_timestamp",
    "to_tsquery", "to_tsvector", "transaction_timestamp", "translate", "trim", "trunc", "ts_headline", "ts_rank",
    "unnest", "upper", "variance", "websearch_to_tsquery", "width_bucket",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_or_searching_them_would_miss() {
        for list in [KEYWORDS, TYPES, FUNCTIONS] {
            assert!(list.is_sorted(), "{:?}", list.windows(2).find(|pair| pair[0] > pair[1]));
        }
    }
}

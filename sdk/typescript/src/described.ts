// What an author says of a route for `GET /openapi.json`.

/** JSON Schema, as OpenAPI 3.1 has it. */
export type Schema = Record<string, unknown>;

/** All of it may be left away, and none of it is checked when the route is asked. */
export interface Says {
  /** One line. */
  summary?: string;
  description?: string;
  /** Parameters of the path; those that are not said are texts. */
  params?: Record<string, Schema>;
  /** Parameters of the query. With `?` at the end of its name one may be left away. */
  query?: Record<string, Schema>;
  /** The JSON that it takes. */
  body?: Schema;
  /** By status: the JSON that it answers; or a sentence, for a failure and for an answer without a body. */
  replies?: Record<number, Schema | string>;
}

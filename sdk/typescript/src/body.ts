// A request whose body is not the JSON that its handler asks for: the client's mistake, unless the handler catches it.

/** What `request.json()` has thrown for that. */
const mistakes = new WeakSet<Error>();

// For all requests at once: one's own methods would cost each request, and its clones would have others. What answers of
// others hold is not the client's.
Request.prototype.json = async function json(this: Request): Promise<unknown> {
  const text = await this.text();
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (isOfText(error)) mistakes.add(error);
    throw error;
  }
};

/** No JSON, or so deep that the quick engine does not read it. */
function isOfText(error: unknown): error is Error {
  return error instanceof SyntaxError || (error instanceof RangeError && error.message.startsWith('the JSON is nested'));
}

export function isBrokenJson(error: unknown): boolean {
  return error instanceof Error && mistakes.has(error);
}

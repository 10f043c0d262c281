// What Oak's npm build imports from shims, as Deno has it.
export const { Deno, File, FormData, Headers, Request, Response, crypto, fetch } = globalThis;

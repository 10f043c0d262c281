// Node's own server, and nothing else.
import { createServer } from "node:http";

const body = process.env.BODY;
const headers = { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(body) };
createServer((_request, answer) => answer.writeHead(200, headers).end(body)).listen(Number(process.env.PORT), "127.0.0.1");

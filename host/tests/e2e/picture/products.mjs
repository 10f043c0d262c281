// A service in plain Node.js that Consul knows: products that never run out. It tells Consul of itself, and takes that
// back before it ends.
import http from 'node:http';

const [port, agent] = [Number(process.env.PORT), process.env.CONSUL];
const id = `products-${port}`;
const product = (id) => ({ id, name: 'Tea', price: 19.99, inventory: 1000000 });

const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => (body += piece));
  request.on('end', () => {
    const [, , , asked, action] = request.url.split('?')[0].split('/');
    const known = asked && (action === undefined || ['reserve', 'release'].includes(action));
    const answer = known ? { success: true, data: product(asked) } : { success: false, error: 'Product not found' };
    response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...answer, timestamp: new Date().toISOString() }));
  });
});

const tell = (path, body) => fetch(`${agent}/v1/agent/service/${path}`, { method: 'PUT', body: JSON.stringify(body) });

server.listen(port, '127.0.0.1', async () => {
  await tell('register', { ID: id, Name: 'products', Address: '127.0.0.1', Port: port });
  console.log('ready');
});

process.on('SIGTERM', async () => {
  await tell(`deregister/${id}`, {});
  // Whoever has not heard of it yet is still answered.
  setTimeout(() => server.close(() => process.exit(0)), 3000);
});

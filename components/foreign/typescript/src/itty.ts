// The usual small app of itty-router, unchanged but for its paths.
import { AutoRouter } from 'itty-router';

const router = AutoRouter({ base: '/itty' });

router
  .get('/hello/:name', ({ name }) => `Hello, ${name}!`)
  .get('/json', () => [1, 2, 3])
  .get('/promises', () => Promise.resolve('foo'));

export default router;

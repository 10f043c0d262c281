// The service `my-service`: which path is whose.
import { router } from 'archipel';
//~ events
import { handle, send } from './events.ts';
//~ postgres
import { create, list } from './notes.ts';
//~ keyvalue
import { count } from './visits.ts';
//~ end

const routes = router()
  //~ postgres
  .get('/notes', list)
  .post('/notes', create)
  //~ keyvalue
  .post('/visits', count)
  //~ events
  .post('/events', send)
  //~ end
  //~ !added
  .get('/', () => ({ hello: 'my-service' }));
  //~ added
  .get('/my-service', () => ({ hello: 'my-service' }));
  //~ end

//~ events
export default { fetch: routes.fetch, consume: handle };
//~ !events
export default routes;
//~ end

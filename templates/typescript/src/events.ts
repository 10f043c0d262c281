// Events: one is published, and handled here as any service that subscribes would.
import { log, publish, type Event } from 'archipel';

export async function send(): Promise<{ id: string }> {
  return { id: await publish('note.made', { text: 'hello' }) };
}

/** Each event at least once: its id is the same each time. */
export function handle(event: Event): void {
  log.info(`${event.topic} says ${event.json<{ text: string }>().text}`, { id: event.id });
}

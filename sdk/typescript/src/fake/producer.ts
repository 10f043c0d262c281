// Publishing in a test: what is published is kept, in its order. In the place of `archipel:messaging/producer`.
import type { Message, Options } from 'archipel:messaging/producer@0.1.0';
import { current, refuse } from './state.ts';

/** Ids are the same in every run: 1, 2, …. */
export function publish(message: Message, options: Options | undefined): string {
  const state = current(`publish('${message.topic}')`);
  if (state.publishing) refuse(state.publishing);
  const id = `00000000-0000-0000-0000-${String(state.events.length + 1).padStart(12, '0')}`;
  state.events.push({ id, message, options });
  return id;
}

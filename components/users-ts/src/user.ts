// What a user is, and what may be said about one.
import type { Fields } from './shop/body.ts';
import { badRequest } from './shop/error.ts';

export interface User {
  id: string;
  email: string;
  name: string;
  createdAt: Date;
  updatedAt: Date;
}

export interface NewUser {
  email: string;
  name: string;
}

export function newUser(fields: Fields): NewUser {
  const [given, called] = [fields.text('email'), fields.text('name')];
  if (!given || !called) badRequest('Email and name are required');
  return { email: email(given), name: within('name', called, 1, 255) };
}

export function changes(fields: Fields): Partial<NewUser> {
  const [given, called] = [fields.text('email'), fields.text('name')];
  if (given === undefined && called === undefined) {
    badRequest('There is nothing to change: give `email`, `name` or both');
  }
  return {
    ...(given === undefined ? {} : { email: email(given) }),
    ...(called === undefined ? {} : { name: within('name', called, 1, 255) }),
  };
}

/** The text, if it is so many characters long. */
export function within(field: string, text: string, least: number, most: number): string {
  // No more than two units each: a text of megabytes is not taken apart.
  const characters = text.length > 2 * most ? text.length : [...text].length;
  if (characters < least || characters > most) badRequest(`Field \`${field}\` must be ${least} to ${most} characters long`);
  return text;
}

function email(text: string): string {
  within('email', text, 1, 255);
  if (!isEmail(text)) badRequest('Invalid email format');
  return text;
}

/** Whether mail could go there: something, one `@`, and a domain with a dot. Only a letter sent can tell more. */
function isEmail(text: string): boolean {
  const [local, domain, ...more] = text.split('@');
  const labels = (domain ?? '').split('.');
  return !!local && more.length === 0 && labels.length > 1 && labels.every((label) => label !== '') && !/[\s\u0000-\u001f\u007f-\u009f]/.test(text);
}

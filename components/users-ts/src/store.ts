// Users in PostgreSQL: every statement about them, and nothing that knows HTTP.
import { postgres, PostgresError, uuid } from 'archipel';
import { conflict } from './shop/error.ts';
import type { Page } from './shop/page.ts';
import type { NewUser, User } from './user.ts';

export const sql = postgres('users');

const TAKEN = 'Email already exists';
/** The index that keeps an email unique, whatever its case. */
const EMAIL_KEY = 'users_email_key';

/** A user as the database has one. */
export interface UserRow {
  id: string;
  email: string;
  name: string;
  created_at: Date;
  updated_at: Date;
}

export function shown({ id, email, name, created_at, updated_at }: UserRow): User {
  return { id, email, name, createdAt: created_at, updatedAt: updated_at };
}

/** What two emails that are the same person's have in common. */
export const emailKey = (email: string) => email.toLowerCase();

export async function insert({ email, name }: NewUser, passwordHash: string | null): Promise<User> {
  const now = new Date();
  const row = await unlessTaken(() => sql.first<UserRow>`
    insert into users (id, email, email_key, name, password_hash, created_at, updated_at)
    values (${uuid.v7(now.getTime())}, ${email}, ${emailKey(email)}, ${name}, ${passwordHash}, ${now}, ${now})
    returning id, email, name, created_at, updated_at`);
  return shown(row as UserRow);
}

/** 409 if somebody has this email; `insert` decides when two come at once. */
export async function expectFree(email: string): Promise<void> {
  const [found] = await sql`select exists (select from users where email_key = ${emailKey(email)}) as taken`;
  if (found?.taken) conflict(TAKEN);
}

export async function find(id: string): Promise<User | undefined> {
  const row = await sql.first<UserRow>`select id, email, name, created_at, updated_at from users where id = ${id}`;
  return row && shown(row);
}

/** Newest first: ids sort by time. One more than the page has, where there are more. */
export async function list({ rows, start }: Page): Promise<User[]> {
  const found = 'after' in start
    ? await sql<UserRow>`select id, email, name, created_at, updated_at from users where id < ${start.after} order by id desc limit ${rows}`
    : await sql<UserRow>`select id, email, name, created_at, updated_at from users order by id desc limit ${rows} offset ${start.offset}`;
  return found.map(shown);
}

export async function count(): Promise<bigint> {
  return (await sql.first<{ count: bigint }>`select count(*) from users`)?.count ?? 0n;
}

/** `updated_at` moves by a millisecond at least, the smallest step that a client can see. */
export async function update(id: string, { email, name }: Partial<NewUser>): Promise<User | undefined> {
  const key = email === undefined ? null : emailKey(email);
  const row = await unlessTaken(() => sql.first<UserRow>`
    update users set email = coalesce(${email}, email), email_key = coalesce(${key}, email_key),
    name = coalesce(${name}, name), updated_at = greatest(${new Date()}, updated_at + interval '1 millisecond')
    where id = ${id} returning id, email, name, created_at, updated_at`);
  return row && shown(row);
}

/** Whether there was one. */
export async function remove(id: string): Promise<boolean> {
  return (await sql.run`delete from users where id = ${id}`) > 0;
}

async function unlessTaken<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof PostgresError && error.isUnique(EMAIL_KEY)) conflict(TAKEN);
    throw error;
  }
}

import { existsSync, readFileSync } from 'node:fs';
import { isObject } from '../cloudformation/template.ts';

/**
 * Values of secrets from a JSON file: `{ "<name or ARN>": "<value>" }`. A value that is an object is kept as JSON.
 * @throws Error when the file isn't that
 */
export function readGivenValues(file: string): Record<string, string> {
  if (!existsSync(file)) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // What stands in it is secret: not even a part of it belongs in a message.
    throw new Error(`${file} is no valid JSON`);
  }
  if (!isObject(parsed)) throw new Error(`${file} must be an object of secrets' values by name or ARN`);
  return Object.fromEntries(
    Object.entries(parsed).map(([id, value]) => [id, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

/** The environment variable that gives a secret its value: `provider/key` → `SECRET_PROVIDER_KEY`. */
export function secretVariable(name: string): string {
  return `SECRET_${name.replaceAll(/[^A-Za-z0-9]+/g, '_').toUpperCase()}`;
}

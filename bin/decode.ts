/** Reads values of unknown shape; each decoder throws an error that says where, what was found and what is expected. */
export type Decode<T> = (value: unknown, path: string) => T;

export class ContextError extends Error {
  override readonly name = 'ContextError';
}

export const text: Decode<string> = (value, path) => {
  if (typeof value !== 'string' || value === '') throw mismatch(value, path, 'a non-empty string');
  return value;
};

/** Also from `-c key=5`, where every value is a string. */
export const number: Decode<number> = (value, path) => {
  const parsed = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof parsed !== 'number' || !Number.isFinite(parsed)) throw mismatch(value, path, 'a number');
  return parsed;
};

/** Also from `-c key=true`. */
export const boolean: Decode<boolean> = (value, path) => {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw mismatch(value, path, 'true or false');
};

export function oneOf<T extends string>(values: readonly T[]): Decode<T> {
  return (value, path) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw mismatch(value, path, `one of ${values.join(', ')}`);
    return found;
  };
}

export function list<T>(decode: Decode<T>): Decode<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw mismatch(value, path, 'an array');
    return value.map((item, index) => decode(item, `${path}[${index}]`));
  };
}

/** An object with keys of the user's own. */
export function record<T>(decode: Decode<T>): Decode<Record<string, T>> {
  return (value, path) =>
    Object.fromEntries(
      Object.entries(asObject(value, path)).map(([key, item]) => [key, decode(item, `${path}.${key}`)]),
    );
}

/** JSON in a string (`-c models='[…]'`) or the value itself (`cdk.json`). */
export function json<T>(decode: Decode<T>): Decode<T> {
  return (value, path) => {
    if (typeof value !== 'string') return decode(value, path);
    let parsed: unknown;
    try {
      parsed = JSON.parse(value);
    } catch (error) {
      throw new ContextError(`${path} is not valid JSON: ${error instanceof Error ? error.message : error}`);
    }
    return decode(parsed, path);
  };
}

/** The same for what may be turned on by `true` alone, with no more said. */
export function jsonOrFlag<T>(decode: Decode<T>): Decode<T> {
  return (value, path) => (value === 'true' || value === 'false' ? decode(value, path) : json(decode)(value, path));
}

/** What an object's decoders give; every field may be missing. */
export type Fields<D extends Record<string, Decode<unknown>>> = { [K in keyof D]?: ReturnType<D[K]> };

/** An object with these fields and no others; those that are missing or null are left out. */
export function fields<D extends Record<string, Decode<unknown>>>(decoders: D): Decode<Fields<D>> {
  return (value, path) => {
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(asObject(value, path))) {
      const decode = Object.hasOwn(decoders, key) ? decoders[key] : undefined;
      if (decode === undefined) throw unknownKey(key, path, Object.keys(decoders));
      if (item !== undefined && item !== null) result[key] = decode(item, path === '' ? key : `${path}.${key}`);
    }
    return result as Fields<D>;
  };
}

/** What the library refuses, with the place in the context where it stands. */
export function at<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ContextError(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

export function required<T>(value: T | undefined, path: string): T {
  if (value === undefined) throw new ContextError(`${path} is missing`);
  return value;
}

export function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(value, path, 'an object');
  return value as Record<string, unknown>;
}

export function unknownKey(key: string, path: string, known: readonly string[]): ContextError {
  const where = path === '' ? '' : ` in ${path}`;
  return new ContextError(`unknown key "${key}"${where}: expected one of ${known.join(', ')}`);
}

function mismatch(value: unknown, path: string, expected: string): ContextError {
  const found = JSON.stringify(value) ?? String(value);
  return new ContextError(`${path} must be ${expected}, got ${found.length > 80 ? `${found.slice(0, 80)}…` : found}`);
}

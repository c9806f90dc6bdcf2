import type { Redis } from 'iovalkey';
import type { Reply } from './resp.ts';

interface Field {
  readonly name: string;
  readonly type: 'TAG' | 'VECTOR';
  readonly dimensions: number;
}

interface Index {
  readonly prefixes: readonly string[];
  readonly fields: readonly Field[];
}

const QUERY = /^@(\w+):\{(\w+)\}=>\[KNN (\d+) @(\w+) \$(\w+) AS (\w+)\]$/;
const SCANNED = 1000;

/**
 * The part of valkey-search that a gateway uses, over any Valkey: FT.CREATE with tags and vectors, FT.SEARCH for the
 * nearest by cosine among the hashes with a tag. Exact, by looking at each of them, where the real one is approximate
 * and fast. Replies and errors are worded like the real one's.
 */
export class VectorSearch {
  readonly #client: Redis;
  readonly #indexes = new Map<string, Index>();

  constructor(client: Redis) {
    this.#client = client;
  }

  async run(words: readonly Buffer[]): Promise<Reply> {
    const [command = '', ...args] = words.map(String);
    switch (command.toUpperCase()) {
      case 'FT.CREATE':
        return this.#create(args);
      case 'FT.SEARCH':
        return this.#search(args, words.slice(1));
      case 'FT._LIST':
        return [...this.#indexes.keys()];
      default:
        return new Error(`ERR unknown command '${command}'`);
    }
  }

  #create(args: readonly string[]): Reply {
    const [name = '', ...rest] = args;
    if (this.#indexes.has(name)) return new Error(`Index ${name} already exists.`);
    const schema = rest.indexOf('SCHEMA');
    const prefix = rest.indexOf('PREFIX');
    if (rest[0] !== 'ON' || rest[1] !== 'HASH' || schema === -1)
      return new Error('ERR only indexes of hashes run here');
    const count = Number(rest[prefix + 1]);
    const prefixes = prefix === -1 ? [''] : rest.slice(prefix + 2, prefix + 2 + count);
    const fields: Field[] = [];
    for (let at = schema + 1; at < rest.length; ) {
      const [fieldName = '', type = '', algorithm = ''] = rest.slice(at, at + 3);
      if (type === 'TAG') {
        fields.push({ name: fieldName, type, dimensions: 0 });
        at += 2;
        continue;
      }
      if (type !== 'VECTOR' || !['HNSW', 'FLAT'].includes(algorithm)) return new Error(`Invalid field type ${type}`);
      const length = Number(rest[at + 3]);
      const settings = rest.slice(at + 4, at + 4 + length);
      const setting = (key: string): string | undefined => settings[settings.indexOf(key) + 1];
      if (setting('TYPE') !== 'FLOAT32' || setting('DISTANCE_METRIC') !== 'COSINE') {
        return new Error('ERR only FLOAT32 and COSINE run here');
      }
      fields.push({ name: fieldName, type, dimensions: Number(setting('DIM')) });
      at += 4 + length;
    }
    this.#indexes.set(name, { prefixes, fields });
    return 'OK';
  }

  async #search(args: readonly string[], bytes: readonly Buffer[]): Promise<Reply> {
    const [name = '', query = ''] = args;
    const index = this.#indexes.get(name);
    if (index === undefined) return new Error(`Index with name '${name}' not found in database 0`);
    const match = QUERY.exec(query);
    if (match === null) return new Error(`Invalid filter expression: \`${query}\``);
    const [, tag = '', value = '', k = '', vectorField = '', parameter = '', scoreAs = ''] = match;
    const at = args.indexOf('PARAMS');
    const given = args[at + 2] === parameter ? bytes[at + 3] : undefined;
    const { dimensions = 0 } =
      index.fields.find((field) => field.name === vectorField && field.type === 'VECTOR') ?? {};
    if (given?.length !== dimensions * 4) {
      return new Error(
        `Error parsing vector similarity query: query vector blob size (${given?.length}) does not match`,
      );
    }
    const asked = floats(given);
    const found: Array<{ key: Buffer; distance: number }> = [];
    for await (const key of this.#keys(index.prefixes)) {
      const [ofTag, stored] = await this.#client.hmgetBuffer(key, tag, vectorField);
      if (ofTag?.toString() !== value || stored?.length !== dimensions * 4) continue;
      found.push({ key, distance: 1 - cosine(asked, floats(stored)) });
    }
    const nearest = found.sort((a, b) => a.distance - b.distance).slice(0, Number(k));
    const returned = args.indexOf('RETURN');
    const names = returned === -1 ? [] : args.slice(returned + 2, returned + 2 + Number(args[returned + 1]));
    const rows = await Promise.all(
      nearest.map(async ({ key, distance }): Promise<Reply[]> => {
        const stored = names.filter((field) => field !== scoreAs);
        const values = stored.length === 0 ? [] : await this.#client.hmgetBuffer(key, ...stored);
        const fields = stored.flatMap((field, nth) => (values[nth] == null ? [] : [field, values[nth] as Buffer]));
        return [key, [scoreAs, String(Number(distance.toPrecision(12))), ...fields]];
      }),
    );
    return [nearest.length, ...rows.flat()];
  }

  async *#keys(prefixes: readonly string[]): AsyncGenerator<Buffer> {
    for (const prefix of prefixes) {
      let cursor = '0';
      do {
        const [next, keys] = await this.#client.scanBuffer(cursor, 'MATCH', `${prefix}*`, 'COUNT', SCANNED);
        cursor = String(next);
        yield* keys;
      } while (cursor !== '0');
    }
  }
}

/** A copy: a string out of the protocol begins at any byte. */
const floats = (bytes: Buffer): Float32Array => new Float32Array(Uint8Array.from(bytes).buffer);

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, ofA, ofB] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at] ?? 0, b[at] ?? 0];
    dot += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return ofA === 0 || ofB === 0 ? 0 : dot / Math.sqrt(ofA * ofB);
}

import { Redis } from 'iovalkey';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { simulatedEmbedding } from '../../local/model/embedding.ts';
import { withVectorSearch } from '../../local/valkey/search-proxy.ts';
import { startValkeyServer, type ValkeyServer } from '../../local/valkey/server.ts';

let server: ValkeyServer;
let client: Redis;

beforeAll(async () => {
  server = await withVectorSearch(await startValkeyServer());
  client = new Redis(server.url);
});
afterAll(async () => {
  client.disconnect();
  await server.close();
});

const bytes = (...numbers: number[]): Buffer => Buffer.from(Float32Array.from(numbers).buffer);
const create = (name: string) =>
  client.call(
    ...(['FT.CREATE', name, 'ON', 'HASH', 'PREFIX', '1', `${name}:`, 'SCHEMA', 'tag', 'TAG'] as const),
    ...(['vec', 'VECTOR', 'HNSW', '6', 'TYPE', 'FLOAT32', 'DIM', '3', 'DISTANCE_METRIC', 'COSINE'] as const),
  );
const search = (name: string, tag: string, vector: Buffer) =>
  client.call(
    ...(['FT.SEARCH', name, `@tag:{${tag}}=>[KNN 2 @vec $v AS score]`, 'PARAMS', '2', 'v', vector] as const),
    ...(['RETURN', '2', 'score', 'word', 'DIALECT', '2'] as const),
  );

test('finds the nearest with a tag, nearest first, with the fields that are asked for', async () => {
  await create('a');
  await client.hset('a:1', { tag: 'x', vec: bytes(1, 0, 0), word: 'one' });
  await client.hset('a:2', { tag: 'x', vec: bytes(1, 1, 0), word: 'two' });
  await client.hset('a:3', { tag: 'y', vec: bytes(1, 0, 0), word: 'three' });
  await client.hset('a:4', { tag: 'x', vec: bytes(0, 0, 1), word: 'four' });
  expect(await search('a', 'x', bytes(2, 0, 0))).toEqual([
    2,
    'a:1',
    ['score', '0', 'word', 'one'],
    'a:2',
    ['score', expect.stringMatching(/^0\.29/), 'word', 'two'],
  ]);
  expect(await search('a', 'z', bytes(1, 0, 0))).toEqual([0]);
});

test('says what is wrong as the module does', async () => {
  await create('b');
  await expect(create('b')).rejects.toThrow('Index b already exists.');
  await expect(search('c', 'x', bytes(1, 0, 0))).rejects.toThrow("Index with name 'c' not found");
  await expect(search('b', 'x', bytes(1, 0))).rejects.toThrow('query vector blob size');
  await expect(client.call('FT.HYBRID', 'b')).rejects.toThrow('unknown command');
});

test('keeps the order of replies, whoever answers them', async () => {
  await create('d');
  await client.hset('d:1', { tag: 'x', vec: bytes(1, 0, 0), word: 'one' });
  const replies = await Promise.all([
    client.set('k', 'v'),
    search('d', 'x', bytes(1, 0, 0)),
    client.get('k'),
    client.multi().set('k', 'w').get('k').exec(),
    client.getBuffer('d:none'),
    search('d', 'y', bytes(1, 0, 0)),
    client.call('EVAL', "return {1, {'two', false}, 'three'}", '0'),
  ]);
  expect(replies).toEqual([
    'OK',
    [1, 'd:1', ['score', '0', 'word', 'one']],
    'v',
    [
      [null, 'OK'],
      [null, 'w'],
    ],
    null,
    [0],
    [1, ['two', null], 'three'],
  ]);
});

test('simulated vectors are near for the same words, the same for the same text, and of length 1', () => {
  const [a, b, c] = ['How do I boil an egg?', 'the way to boil eggs', 'the theory of relativity'].map((text) =>
    simulatedEmbedding(text, 256),
  ) as [number[], number[], number[]];
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0);
  expect(dot(a, a)).toBeCloseTo(1, 6);
  expect(simulatedEmbedding('How do I boil an egg?', 256)).toEqual(a);
  expect(dot(a, b)).toBeGreaterThan(dot(a, c) + 0.3);
});

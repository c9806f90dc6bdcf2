import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createCache } from '../../../lambda/cache/index.ts';
import { loadConfig } from '../../../lambda/contract/config.ts';
import type { ServingConfig } from '../../../lib/private/serving-config.ts';
import { startValkeyServer, type ValkeyServer } from '../../../local/valkey/server.ts';
import { ask } from '../../faults/drive.ts';
import { model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerStatus, answerText, Upstream } from '../support/upstream.ts';
import { eventually } from './eventually.ts';
import { type CacheGateway, cacheConfig, POLICY, startCacheGateway } from './gateway.ts';

let valkey: ValkeyServer;
const gateways: CacheGateway[] = [];

beforeAll(async () => {
  valkey = await startValkeyServer();
});
afterAll(() => valkey.close());
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

async function start(config: ServingConfig): Promise<CacheGateway> {
  const gateway = await startCacheGateway(config);
  gateways.push(gateway);
  return gateway;
}

test('a process that starts in an outage has its breakers open from what another has learned', async () => {
  const [dead, good] = await Promise.all([Upstream.start(answerStatus(500)), Upstream.start(answerText('fine'))]);
  const config = servingConfig([model([openAiBackend(dead.url), openAiBackend(good.url, { id: 'good' })])], {
    cache: cacheConfig(valkey.url, { policy: { ...POLICY, enabled: false }, deployment: 'outage' }),
  } as never);
  const first = await start(config);
  // Three failures in a row open it.
  for (let n = 0; n < 3; n++) expect(await ask(first, n % 2 === 0)).toMatchObject({ text: 'fine', backend: 'good' });
  expect(dead.requests).toHaveLength(3);
  await eventually(async () => expect((await first.cache.breakers.read(['first'])).size).toBe(1));
  const second = await start(config);
  expect(await ask(second, true)).toMatchObject({ text: 'fine', backend: 'good' });
  expect(await ask(second, false)).toMatchObject({ text: 'fine', backend: 'good' });
  expect(dead.requests).toHaveLength(3);
  await Promise.all([dead.stop(), good.stop()]);
});

const cacheOf = (deployment: string, endpoint = valkey.url) => {
  const { cache } = loadConfig(
    JSON.stringify(servingConfig([model([])], { cache: cacheConfig(endpoint, { deployment }) } as never)),
    {},
  );
  if (cache === undefined) throw new Error('no cache');
  return createCache(cache, {});
};

test('breakers that close are forgotten, and those of other deployments unknown', async () => {
  const [one, two] = [cacheOf('one'), cacheOf('two')];
  const until = Date.now() + 5000;
  await one.breakers.write('a', until);
  expect(await one.breakers.read(['a', 'b'])).toEqual(new Map([['a', until]]));
  expect(await two.breakers.read(['a', 'b'])).toEqual(new Map());
  await one.breakers.write('a', 0);
  expect(await one.breakers.read(['a', 'b'])).toEqual(new Map());
  one.close();
  two.close();
});

test('values are shared by the processes of a deployment, until their time is over', async () => {
  const [one, same, other] = [cacheOf('values'), cacheOf('values'), cacheOf('others')];
  await one.values.set('prefix', 'cookie', 300);
  expect(await same.values.get('prefix')).toBe('cookie');
  expect(await other.values.get('prefix')).toBeUndefined();
  await eventually(async () => expect(await same.values.get('prefix')).toBeUndefined(), 3000);
  for (const cache of [one, same, other]) cache.close();
});

test('a cache that is gone gives nothing, and no error', async () => {
  const cache = cacheOf('gone', 'redis://127.0.0.1:9');
  await cache.values.set('a', 'b', 1000);
  expect(await cache.values.get('a')).toBeUndefined();
  expect(await cache.breakers.read(['a'])).toEqual(new Map());
  await cache.breakers.write('a', 1);
  cache.close();
});

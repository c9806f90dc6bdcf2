import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBedrockBackend } from '../../../lambda/backends/bedrock/index.ts';
import { inlineRemoteImages, type RemoteImageOptions } from '../../../lambda/backends/bedrock/remote-images.ts';
import { toConverse } from '../../../lambda/backends/bedrock/request.ts';
import { isPublicAddress } from '../../../lambda/net/public-address.ts';
import type { BackendConfig } from '../../../lib/private/serving-config.ts';
import { deploy, model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';
import { bedrockConfig, callOf, chat, errorOf, PNG } from './fixtures.ts';
import { LOOPBACK_CERT, LOOPBACK_KEY } from './loopback-tls.ts';

const png = Buffer.from(PNG.split(',')[1] ?? '', 'base64');
let server: Server;
let port: number;
const paths: string[] = [];

beforeAll(async () => {
  server = createServer({ cert: LOOPBACK_CERT, key: LOOPBACK_KEY }, (request, response) => {
    paths.push(request.url ?? '');
    switch (request.url) {
      case '/cat.png':
        response.end(png);
        break;
      case '/redirect':
        response.writeHead(302, { location: '/cat.png' }).end();
        break;
      case '/huge':
        response.writeHead(200, { 'content-length': 100_000_000 }).write(png);
        break;
      case '/endless': {
        const write = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(1_000_000)));
        };
        response.on('drain', write);
        write();
        break;
      }
      case '/chunked': {
        // Whole, but larger than what is allowed, and without saying so before.
        response.flushHeaders();
        let left = 5;
        const write = (): void => {
          left -= 1;
          if (left > 0) response.write(Buffer.alloc(1_000_000), write);
          else response.end(png);
        };
        write();
        break;
      }
      case '/never':
        break;
      default:
        response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(
  () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
);
beforeEach(() => {
  paths.length = 0;
});

const withImages = (...urls: string[]) =>
  chat({
    messages: [
      { role: 'user', content: 'Look' },
      { role: 'user', content: urls.map((url) => ({ type: 'image_url' as const, image_url: { url } })) },
    ],
  });
const inline = (urls: string[], overrides: Partial<RemoteImageOptions> = {}) =>
  inlineRemoteImages(withImages(...urls), {
    signal: new AbortController().signal,
    isAllowed: (address) => address === '127.0.0.1' || address === '::1',
    port,
    ca: LOOPBACK_CERT,
    ...overrides,
  });

test('an image behind an address is sent as its bytes', async () => {
  const request = await inline(['https://localhost/cat.png', PNG]);
  const images = toConverse(callOf(request), bedrockConfig()).messages?.[0]?.content?.map((block) => block.image);
  expect(images?.slice(1).map((image) => [image?.format, Buffer.from(image?.source?.bytes ?? []).equals(png)])).toEqual(
    [
      ['png', true],
      ['png', true],
    ],
  );
});

test('a request without such images is left as it is', async () => {
  const request = withImages(PNG);
  expect(await inlineRemoteImages(request, { signal: new AbortController().signal })).toBe(request);
});

describe('an image is refused by name', () => {
  test.each([
    ['when its server does not have it', 'https://localhost/dog.png', /answered 404/],
    ['when its server redirects, perhaps to inside', 'https://localhost/redirect', /answered 302/],
    ['when it says that it is too large', 'https://localhost/huge', /more than/],
    ['when it turns out too large', 'https://localhost/endless', /more than/],
    ['when it turns out too large at its end', 'https://localhost/chunked', /more than/],
    ['when the address has a port', 'https://localhost:8443/cat.png', /without port/],
    ['when the address has a user', 'https://me:pw@localhost/cat.png', /without port or user/],
    ['when the host is an address', 'https://127.0.0.1/cat.png', /host by its name/],
    ['when the host is an address in disguise', 'https://0x7f.1/cat.png', /host by its name/],
    ['when the host is an IPv6 address', 'https://[::1]/cat.png', /host by its name/],
  ])('%s', async (_, url, message) => {
    await expect(inline([url])).rejects.toMatchObject({ param: 'messages[1].content[0].image_url.url', message });
  });

  test('when its name leads anywhere but to the public internet, before a byte is sent', async () => {
    await expect(inline(['https://localhost/cat.png'], { isAllowed: isPublicAddress })).rejects.toMatchObject({
      param: 'messages[1].content[0].image_url.url',
      message: expect.stringContaining('from the public internet'),
    });
    expect(paths).toEqual([]);
    // As the backend does it.
    const error = await errorOf(
      createBedrockBackend(bedrockConfig()).stream(callOf(withImages('https://localhost/cat.png'))),
    );
    expect(error).toMatchObject({
      kind: 'invalid-request',
      param: 'messages[1].content[0].image_url.url',
      elsewhere: false,
    });
  });

  test('when its certificate is not to be trusted', async () => {
    await expect(inline(['https://localhost/cat.png'], { ca: undefined as never })).rejects.toThrow(
      /could not be fetched/,
    );
    expect(paths).toEqual([]);
  });

  test('when there are more than twenty', async () => {
    const urls = Array.from({ length: 21 }, (_, i) => `https://localhost/${i}.png`);
    await expect(inline(urls)).rejects.toMatchObject({ param: 'messages' });
    expect(paths).toEqual([]);
  });
});

describe('an image that could not be fetched may be fetched by another backend', () => {
  test.each(['https://localhost/dog.png', 'https://nowhere.invalid/cat.png'])('%s', async (url) => {
    await expect(inline([url])).rejects.toMatchObject({ elsewhere: true });
  });

  const upstream = async () => Upstream.start(answerText('a cat'));
  const body = withImages('https://nowhere.invalid/cat.png');

  test('which is asked', async () => {
    const up = await upstream();
    const backends = [bedrockConfig() as BackendConfig, openAiBackend(up.url)];
    const { chat: ask } = deploy(servingConfig([model(backends)]));
    expect(await ask(body)).toMatchObject({
      status: 200,
      headers: { 'x-llm-backend': 'first', 'x-llm-fallbacks': '1' },
    });
    expect(up.requests[0]?.body.messages).toEqual(body.messages);
    await up.stop();
  });

  test('but is no case for a fixed reply, and none of a backend that failed', async () => {
    const { chat: ask, log } = deploy(servingConfig([model([bedrockConfig() as BackendConfig, staticBackend()])]));
    const { status, json } = await ask(body);
    expect(status).toBe(400);
    expect(json.error.param).toBe('messages[1].content[0].image_url.url');
    expect(log[0]).not.toHaveProperty('BackendErrors');
  });
});

test('a fetch ends with the call', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 50);
  await expect(inline(['https://localhost/never'], { signal: abort.signal })).rejects.toThrow(/abort/i);
});

test.each([
  ['8.8.8.8', true],
  ['2600:1f18::1', true],
  ['127.0.0.1', false],
  ['10.1.2.3', false],
  ['172.31.0.1', false],
  ['192.168.1.1', false],
  ['169.254.169.254', false],
  ['169.254.170.2', false],
  ['100.64.0.1', false],
  ['0.0.0.0', false],
  ['224.0.0.1', false],
  ['::1', false],
  ['::ffff:127.0.0.1', false],
  ['::ffff:8.8.8.8', false],
  ['64:ff9b::7f00:1', false],
  ['fd00:ec2::254', false],
  ['fe80::1', false],
  ['2002:7f00:1::', false],
  ['2001:db8::1', false],
  ['localhost', false],
])('%s is public: %s', (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});

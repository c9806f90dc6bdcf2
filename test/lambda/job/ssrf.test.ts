import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sendWebhook } from '../../../lambda/job/notice/send.ts';
import { webhookUrlProblem } from '../../../lambda/job/notice/webhook-url.ts';
import type { Resolve } from '../../../lambda/net/guarded-lookup.ts';
import { isPublicAddress } from '../../../lambda/net/public-address.ts';

const STRICT = { loopback: false };

/** Ways to write 127.0.0.1, 169.254.169.254 and their like, so that who reads the URL sees something else. */
const LITERALS = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '0',
  '0.0.0.0',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '127.0.0.1.',
  '127.255.255.254',
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '100.64.0.1',
  '198.18.0.1',
  '169.254.169.254',
  '2852039166',
  '0xa9fea9fe',
  '0xA9.0xFE.0xA9.0xFE',
  '0251.0376.0251.0376',
  '169.254.43518',
  '169.16689662',
  '169.254.170.2',
  '192.0.0.192',
  '224.0.0.1',
  '255.255.255.255',
  '240.0.0.1',
  '%31%32%37.0.0.1',
  '１２７.０.０.１',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  '[::1]',
  '[::]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[::ffff:169.254.169.254]',
  '[::ffff:a9fe:a9fe]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b:1::1]',
  '[2002:7f00:1::]',
  '[2002:a9fe:a9fe::]',
  '[2001:0:7f00:1::]',
  '[fe80::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fd12:3456::1]',
  '[ff02::1]',
  '[100::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[fec0::1]',
  '8.8.8.8',
  '[2606:4700:4700::1111]',
];

/** Names that lead inside by what they are. */
const NAMES = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'foo.localhost',
  'ｌｏｃａｌｈｏｓｔ',
  'metadata',
  'metadata.google.internal',
  'instance-data.ec2.internal',
  'ip-10-0-0-1.us-east-1.compute.internal',
  'printer.local',
  'router.lan',
  'nas.home',
  'nas.home.arpa',
  'intranet',
  'wiki.corp',
  'wiki.intranet',
  'db.private',
  'a.test',
  'a.invalid',
  'x.onion',
  'x.alt',
];

/** Names that lead inside by what their name servers say. */
const REBOUND = [
  'localtest.me',
  '127.0.0.1.nip.io',
  '169-254-169-254.nip.io',
  'spoofed.example.com',
  'www.example.com.',
  'xn--e1afmkfd.example',
  'a-very-ordinary-name.example.org',
  'hooks.example.com:8443',
  'hooks.example.com:22',
  'hooks.example.com:6379',
];

const URLS: readonly string[] = [
  ...LITERALS.map((host) => `https://${host}/latest/meta-data/`),
  ...NAMES.map((host) => `https://${host}/`),
  ...REBOUND.map((host) => `https://${host}/`),
  // Who it is for, and who it only seems to be for.
  'https://user:password@hooks.example.com/',
  'https://hooks.example.com@127.0.0.1/',
  'https://hooks.example.com:443@169.254.169.254/',
  'https://hooks.example.com%2f@127.0.0.1/',
  'https://127.0.0.1#@hooks.example.com/',
  'https://127.0.0.1\\@hooks.example.com/',
  'https://hooks.example.com\\@127.0.0.1/',
  'https:\\\\127.0.0.1/',
  'https:///127.0.0.1/',
  'https:127.0.0.1',
  'https://127.0.0.1:443?x=https://a.example',
  'https://@127.0.0.1/',
  'https://:@hooks.example.com/',
  'https://hooks.example.com\t.localhost/',
  'https://127.0.\n0.1/',
  ' https://127.0.0.1/ ',
  'https://[::1%25lo]/',
  'https://[::1]:443/',
  'https://1.1.1.1 &@127.0.0.1/',
  'https://hooks.example.com\u0000.127.0.0.1/',
  // Other protocols.
  'http://hooks.example.com/',
  'HTTP://127.0.0.1/',
  'ftp://hooks.example.com/',
  'file:///etc/passwd',
  'gopher://127.0.0.1:6379/_FLUSHALL',
  'unix:///var/run/docker.sock',
  'data:text/plain,hi',
  'javascript:alert(1)',
  'ws://hooks.example.com/',
  'blob:https://hooks.example.com/1',
  // None at all.
  '',
  '//hooks.example.com/',
  'hooks.example.com',
  'https://',
  'https://.',
  'https://%',
  `https://a.example/${'x'.repeat(3000)}`,
];

/** What is inside: it counts who comes. */
let inside: Server;
let connections = 0;
const insidePort = () => (inside.address() as AddressInfo).port;

beforeAll(async () => {
  inside = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve));
});
afterAll(() => new Promise((resolve) => inside.close(resolve)));

/** A name server that says this of every name. */
const resolving =
  (addresses: readonly string[]): Resolve =>
  (_, __, done) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

const send = (url: string, more: object = {}) =>
  sendWebhook(url, {
    ...STRICT,
    headers: {},
    body: '{}',
    timeoutMs: 2_000,
    // Whatever name it is: it leads inside, and to the port where somebody listens.
    resolve: resolving(['127.0.0.1']),
    port: insidePort(),
    ...more,
  });

test('there are a hundred of them, each another one', () => {
  expect(new Set(URLS).size).toBe(URLS.length);
  expect(URLS.length).toBeGreaterThanOrEqual(100);
});

test.each(URLS.map((url) => [url.slice(0, 80), url]))('%j reaches nothing inside', async (_, url) => {
  const sent = await send(url);
  expect(sent).toMatchObject({ ok: false, reason: expect.any(String) });
  expect(connections).toBe(0);
});

test.each(['localhost..', 'metadata.google.internal...', 'db.private..'])(
  'a name that leads inside is told at once, whatever dots are behind it: %s',
  (host) => {
    expect(webhookUrlProblem(`https://${host}/`, STRICT)).toBe('names a host that is not on the public internet');
  },
);

describe('a name whose server answers', () => {
  test.each([
    ['a private address', ['10.1.2.3']],
    ['the metadata service', ['169.254.169.254']],
    ['an address of IPv6 that is a private one of IPv4', ['::ffff:127.0.0.1']],
    ['a public and a private one', ['93.184.216.34', '127.0.0.1']],
    ['a private and a public one', ['127.0.0.1', '93.184.216.34']],
    ['nothing', []],
  ])('%s', async (_, addresses) => {
    expect(await send('https://hooks.example.com/', { resolve: resolving(addresses) })).toEqual({
      ok: false,
      reason: 'not on the public internet',
    });
    expect(connections).toBe(0);
  });

  test('something else the second time: it is asked once, and what was checked is what is connected to', async () => {
    let outside = 0;
    const public_ = createServer((socket) => {
      outside++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => public_.listen(0, '127.0.0.2', resolve));
    let lookups = 0;
    const resolve: Resolve = (name, options, done) => {
      lookups++;
      resolving([lookups === 1 ? '127.0.0.2' : '127.0.0.1'])(name, options, done);
    };
    const { port } = public_.address() as AddressInfo;
    const isAllowed = (address: string) => address === '127.0.0.2';
    expect((await send('https://hooks.example.com/', { resolve, port, isAllowed })).ok).toBe(false);
    expect([lookups, outside, connections]).toEqual([1, 1, 0]);
    await new Promise((done) => public_.close(done));
  });
});

describe('a receiver', () => {
  const received: string[] = [];
  const server = createHttpServer((request, response) => {
    received.push(`${request.method} ${request.url}`);
    if (request.url === '/redirect') response.writeHead(307, { location: `http://127.0.0.1:${insidePort()}/` }).end();
    else if (request.url === '/endless') {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'.repeat(8192)), 5);
      response.on('close', () => clearInterval(timer));
    } else if (request.url === '/slow') {
      // Never answers.
    } else if (request.url === '/gone') response.writeHead(410).end();
    else response.writeHead(204).end();
  });
  const url = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  const local = { ...STRICT, loopback: true, headers: {}, body: '{}' };
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    return closed;
  });

  test('on this machine is taken in the local run only', async () => {
    expect(await sendWebhook(url('/'), local)).toEqual({ ok: true, status: 204 });
    expect(await sendWebhook(url('/'), { ...local, loopback: false })).toMatchObject({ ok: false, isLasting: true });
    // Nothing but this machine, not even then.
    expect(webhookUrlProblem('http://10.0.0.1/', local)).toBeDefined();
    expect(webhookUrlProblem('http://hooks.example.com/', local)).toBeDefined();
  });

  test('that redirects is not followed', async () => {
    expect(await sendWebhook(url('/redirect'), local)).toEqual({
      ok: false,
      status: 307,
      reason: 'redirects are not followed',
    });
    expect(connections).toBe(0);
  });

  test('that answers without end is cut off, and has answered', async () => {
    expect(await sendWebhook(url('/endless'), local)).toEqual({ ok: true, status: 200 });
  });

  test('that does not answer is given up', async () => {
    const started = performance.now();
    expect(await sendWebhook(url('/slow'), { ...local, timeoutMs: 100 })).toEqual({
      ok: false,
      reason: 'no answer in time',
    });
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  test('that says it is gone for good is not asked again', async () => {
    expect(await sendWebhook(url('/gone'), local)).toMatchObject({ ok: false, status: 410, isLasting: true });
  });
});

test.each([
  'https://hooks.example.com/jobs',
  'https://hooks.example.com:8443/a?b=c#d',
  'https://xn--bcher-kva.example/',
  'https://api.slack.com/x',
])('%s is an ordinary receiver', (url) => {
  expect(webhookUrlProblem(url, STRICT)).toBeUndefined();
});

test.each(['8.8.8.8', '93.184.216.34', '2606:4700:4700::1111'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

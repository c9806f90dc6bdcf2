import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList } from 'node:net';
import { guardedLookup, NotPublic, type Resolve } from '../../net/guarded-lookup.ts';
import { isPublicAddress } from '../../net/public-address.ts';
import type { Sent } from './deliver.ts';
import { type UrlRules, webhookUrlProblem } from './webhook-url.ts';

export interface SendOptions extends UrlRules {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** From the look-up to the end of the answer. @default 15 s */
  readonly timeoutMs?: number;
  /** Only for tests. @default - the system's */
  readonly resolve?: Resolve;
  /** Only for tests: which addresses may be connected to. @default isPublicAddress */
  readonly isAllowed?: (address: string) => boolean;
  /** Only for tests. @default - the URL's */
  readonly port?: number;
  /** Only for tests. @default - the system's */
  readonly ca?: string;
}

/** Standard Webhooks: 15 to 30 seconds. */
const TIMEOUT_MS = 15_000;
/** Of the answer's body, which nobody reads: what is longer is cut off with the connection. */
const MAX_ANSWER_BYTES = 16 * 1024;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
const isLoopback = (address: string): boolean => loopback.check(address, address.includes(':') ? 'ipv6' : 'ipv4');

/**
 * One POST to an address that somebody else chose. To the public internet only, checked on the very connection; a
 * connection of its own, since a kept one would not be looked up again; no redirect is followed, no credential sent, and
 * nothing of the answer is kept but its status.
 */
export async function sendWebhook(address: string, options: SendOptions): Promise<Sent> {
  const problem = webhookUrlProblem(address, options);
  if (problem !== undefined) return { ok: false, reason: `the URL ${problem}`, isLasting: true };
  const url = new URL(address);
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  try {
    const status = await post(url, options, timeout);
    const ok = status >= 200 && status < 300;
    if (ok) return { ok, status };
    const reason = status >= 300 && status < 400 ? 'redirects are not followed' : `status ${status}`;
    // 410: the receiver says that it is gone for good.
    return { ok, status, reason, ...(status === 410 ? { isLasting: true } : {}) };
  } catch (error) {
    if (timeout.aborted) return { ok: false, reason: 'no answer in time' };
    // Which names resolve, and to what, is nobody's to find out.
    if (error instanceof NotPublic) return { ok: false, reason: 'not on the public internet' };
    return { ok: false, reason: (error as NodeJS.ErrnoException).code ?? 'the connection failed' };
  }
}

function post(url: URL, options: SendOptions, signal: AbortSignal): Promise<number> {
  const isAllowed = options.isAllowed ?? isPublicAddress;
  const request: RequestOptions & { ca?: string } = {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(options.body),
      'user-agent': 'cdk-llm-serving-webhooks',
      ...options.headers,
    },
    signal,
    agent: false,
    lookup: guardedLookup((each) => isAllowed(each) || (options.loopback && isLoopback(each)), options.resolve),
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    send(url, request, (response) => drained(response).then(() => resolve(response.statusCode ?? 0), reject))
      .on('error', reject)
      .end(options.body);
  });
}

/** The status counts when the answer is there, or as much of it as is waited for. */
async function drained(response: IncomingMessage): Promise<void> {
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > MAX_ANSWER_BYTES) break;
  }
  response.destroy();
}

import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { isIP } from 'node:net';
import type { ChatCompletionRequest, ChatMessage, ContentPart } from '../../contract/openai.ts';
import { guardedLookup, NotPublic } from '../../net/guarded-lookup.ts';
import { isRemoteImage, MAX_IMAGE_BYTES, MAX_IMAGES_PER_MESSAGE } from './images.ts';
import { RequestProblem } from './request-problem.ts';

/** A client waits for it before the model has even begun. */
const TIMEOUT_MS = 5_000;

export interface RemoteImageOptions {
  readonly signal: AbortSignal;
  /** @default isPublicAddress */
  readonly isAllowed?: (address: string) => boolean;
  /** Only for tests. @default 443 */
  readonly port?: number;
  /** Only for tests. @default - the system's */
  readonly ca?: string;
}

/**
 * Puts images behind https addresses into the request, since Converse takes bytes only. What a client names is fetched
 * with care: https on its own port, a name (no address) that resolves to the public internet, checked on the connection
 * itself so that a second resolution can't differ; no redirects, no credentials, bounded in time, size and number; and
 * what isn't an image goes nowhere, for the bytes are checked before they leave. @throws RequestProblem
 */
export async function inlineRemoteImages(
  request: ChatCompletionRequest,
  options: RemoteImageOptions,
): Promise<ChatCompletionRequest> {
  const remote = request.messages.flatMap((message) => partsOf(message).filter(isRemoteImage));
  if (remote.length === 0) return request;
  if (remote.length > MAX_IMAGES_PER_MESSAGE) {
    throw new RequestProblem(
      'messages',
      `messages has ${remote.length} images to fetch: at most ${MAX_IMAGES_PER_MESSAGE} are allowed, send others as data URLs`,
    );
  }
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  try {
    const messages = await Promise.all(
      request.messages.map((message, index) => inlineMessage(message, `messages[${index}]`, { ...options, signal })),
    );
    return { ...request, messages };
  } finally {
    // One that failed ends the others.
    stop.abort();
  }
}

const partsOf = ({ content }: ChatMessage): readonly ContentPart[] => (Array.isArray(content) ? content : []);

async function inlineMessage(message: ChatMessage, path: string, options: RemoteImageOptions): Promise<ChatMessage> {
  const parts = partsOf(message);
  if (!parts.some(isRemoteImage)) return message;
  const content = await Promise.all(
    parts.map(async (part, index): Promise<ContentPart> => {
      if (!isRemoteImage(part)) return part;
      const param = `${path}.content[${index}].image_url.url`;
      const bytes = await fetchImage(part.image_url.url, param, options);
      return { type: 'image_url', image_url: { url: `data:image/*;base64,${bytes.toString('base64')}` } };
    }),
  );
  return { ...message, content };
}

async function fetchImage(address: string, param: string, options: RemoteImageOptions): Promise<Buffer> {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isPlain = url && url.port === '' && url.username === '' && url.password === '';
  if (!isPlain || isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0) {
    throw new RequestProblem(param, `${param} is not an https address of a host by its name, without port or user`);
  }
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await request(url, options, AbortSignal.any([options.signal, timeout]));
    return await read(response, param);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof RequestProblem) throw error;
    // One message for every cause: which names resolve, and to what, is not the client's to find out.
    const reason = timeout.aborted ? `in ${TIMEOUT_MS} ms` : 'from the public internet';
    // A name that leads inside: no backend is to follow it, least of all one that runs there.
    throw notFetched(param, reason, !(error instanceof NotPublic));
  }
}

/** @param elsewhere it need not be the client's fault, and another backend fetches images its own way */
const notFetched = (param: string, reason: string, elsewhere: boolean): RequestProblem =>
  new RequestProblem(param, `${param} could not be fetched ${reason}: send the image as a data URL`, { elsewhere });

function request(url: URL, options: RemoteImageOptions, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'image/png, image/jpeg, image/gif, image/webp', 'user-agent': 'cdk-llm-serving' };
    get(
      url,
      {
        headers,
        signal,
        // A connection of its own: a kept one would not be looked up again.
        agent: false,
        lookup: guardedLookup(options.isAllowed),
        ...(options.port !== undefined && { port: options.port }),
        ...(options.ca !== undefined && { ca: options.ca }),
      },
      resolve,
    ).on('error', reject);
  });
}

async function read(response: IncomingMessage, param: string): Promise<Buffer> {
  const tooLarge = () => new RequestProblem(param, `${param} is an image of more than ${MAX_IMAGE_BYTES} bytes`);
  try {
    if (response.statusCode !== 200) {
      throw notFetched(param, `(its server answered ${response.statusCode})`, true);
    }
    if (Number(response.headers['content-length'] ?? 0) > MAX_IMAGE_BYTES) throw tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response) {
      size += (chunk as Buffer).length;
      if (size > MAX_IMAGE_BYTES) throw tooLarge();
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
  } finally {
    response.destroy();
  }
}

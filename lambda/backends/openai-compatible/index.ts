import { performance } from 'node:perf_hooks';
import type { BackendConfigOf } from '../../contract/config.ts';
import type { Credentials } from '../../secrets/credentials.ts';
import type { Backend, BackendCall, StreamedAnswer, WholeAnswer } from '../backend.ts';
import { BackendError } from '../backend.ts';
import { ATTRIBUTION_PARAMETERS, asksFor, asksForTier } from '../parameters.ts';
import { createFleetSteering, type SharedHints } from './fleet.ts';
import { FrameStream } from './frames.ts';
import { createHttpClient, type HttpResponse, readBody } from './http.ts';
import { errorFromResponse } from './upstream-error.ts';
import { framesOfWhole, parseWholeAnswer } from './whole-answer.ts';
import { wireRequest } from './wire-request.ts';

const MAX_WHOLE_BYTES = 64 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
/** An error's body explains; an answer needn't wait for it. */
const ERROR_BODY_MS = 2000;

/** A server that speaks OpenAI's chat completions: OpenAI, vLLM and the other engines, most providers. */
export async function createOpenAiCompatibleBackend(
  config: BackendConfigOf<'openai-compatible'>,
  credentials: Credentials | undefined,
  hints?: SharedHints,
): Promise<Backend> {
  const url = new URL(`${config.baseUrl}/chat/completions`);
  const http = await createHttpClient(url);
  const { id, deadlines } = config;
  const fleet = config.fleet && createFleetSteering(config.fleet, hints);

  /** @param firstToken what is left of the time to the first token; a whole answer has none */
  async function send(call: BackendCall, firstToken?: Countdown, isRetry = false): Promise<HttpResponse> {
    const stream = firstToken !== undefined;
    const placement = await fleet?.place(call);
    let response: HttpResponse;
    try {
      response = await http.post({
        backend: id,
        url,
        headers: {
          'content-type': 'application/json',
          accept: stream ? 'text/event-stream' : 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'cdk-llm-serving',
          ...config.headers,
          'x-request-id': call.requestId,
          ...placement?.headers,
          ...(await credentials?.headers(call.signal)),
        },
        body: wireRequest(call.request, config, stream, fleet?.fields(call)),
        connectMs: deadlines.connectMs,
        // A whole answer's headers come when it is finished: only the request's own deadline holds.
        headersMs: firstToken?.leftMs,
        onSent: call.onSent,
        signal: call.signal,
      });
    } catch (error) {
      placement?.failed(false);
      throw error;
    }
    if (response.status === 200) {
      placement?.answered(response);
      return response;
    }
    placement?.failed(response.status >= 502);
    const error = errorFromResponse(id, response.status, await errorBody(response, call.signal), response.headers);
    if (response.status === 401 && credentials !== undefined && !isRetry) {
      credentials.invalidate();
      return send(call, firstToken, true);
    }
    throw fleet === undefined ? error : fleet.explain(error, response);
  }

  async function errorBody(response: HttpResponse, signal: AbortSignal): Promise<string> {
    try {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(ERROR_BODY_MS)]);
      return (await readBody(id, response, MAX_ERROR_BYTES, patience)).toString();
    } catch {
      response.body.destroy();
      return '';
    }
  }

  return {
    id,

    unsupportedParameter: (request) =>
      config.unsupportedParameters.find((name) => !ATTRIBUTION_PARAMETERS.includes(name) && asksFor(request, name)) ??
      (asksForTier(request) ? 'service_tier' : undefined),

    async stream(call): Promise<StreamedAnswer> {
      const firstToken = new Countdown(deadlines.firstTokenMs);
      const response = await send(call, firstToken);
      const type = mediaType(response);
      if (type === 'text/event-stream') {
        const { betweenTokensMs } = deadlines;
        const { signal } = call;
        const options = { backend: id, firstTokenMs: firstToken.leftMs, betweenTokensMs, signal };
        return { frames: new FrameStream(response.body, options) };
      }
      if (type === 'application/json') {
        // Its first token is its last: it comes in the time for one, or another backend is asked.
        const body = await readBody(id, response, MAX_WHOLE_BYTES, call.signal, firstToken.leftMs);
        const whole = parseWholeAnswer(id, body);
        return { frames: iterate(framesOfWhole(whole)) };
      }
      throw wrongType(response, type);
    },

    async complete(call): Promise<WholeAnswer> {
      const response = await send(call);
      const type = mediaType(response);
      if (type !== 'application/json') throw wrongType(response, type);
      return parseWholeAnswer(id, await readBody(id, response, MAX_WHOLE_BYTES, call.signal));
    },
  };

  function wrongType(response: HttpResponse, type: string): BackendError {
    response.body.destroy();
    const told = /^[\w.+-]{1,40}\/[\w.+-]{1,40}$/.test(type) ? `the content type '${type}'` : 'no known content type';
    return new BackendError(id, 'protocol', `the response has ${told}`);
  }
}

const mediaType = (response: HttpResponse): string =>
  (response.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

class Countdown {
  readonly #end: number;

  constructor(ms: number) {
    this.#end = performance.now() + ms;
  }

  /** At least 1, which ends at once. */
  get leftMs(): number {
    return Math.max(1, this.#end - performance.now());
  }
}

async function* iterate<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

import type { IncomingMessage } from 'node:http';
import type { DynamoDBClient, UpdateItemCommandInput, UpdateItemCommandOutput } from '@aws-sdk/client-dynamodb';
import { ConditionalCheckFailedException, UpdateItemCommand } from '@aws-sdk/client-dynamodb';

/** Of one call: the SDK sets them anew for each. */
const PER_CALL = new Set(['content-length', 'x-amzn-trace-id']);

type HttpRequest = Parameters<Awaited<ReturnType<DynamoDBClient['config']['signer']>>['sign']>[0];
type Request = Pick<HttpRequest, 'method' | 'protocol' | 'hostname' | 'port' | 'path' | 'headers'>;

/**
 * Updates of items, of which each request makes two. The SDK's middleware resolves endpoint, user agent, credentials'
 * scheme and the shape of each member anew for every call, at three quarters of the call's CPU time (bench/ledger.ts).
 * Here the first call goes that way, and later ones repeat its request with another body: signed by the SDK's signer with
 * the SDK's credentials, sent by its HTTP handler. After whatever went wrong the next goes the long way again.
 */
export class DirectUpdates {
  readonly #client: DynamoDBClient;
  readonly #timeoutMs: number;
  #signer: ReturnType<DynamoDBClient['config']['signer']> | undefined;
  #known: Request | undefined;

  constructor(client: DynamoDBClient, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          if (commandName === 'UpdateItemCommand') this.#known = requestLike(args.request as HttpRequest);
          return next(args);
        },
      { name: 'keepRequest', step: 'build', priority: 'low' },
    );
  }

  /** @throws what `send` throws: an error with DynamoDB's name for it, or that of what failed on the way there */
  async send(input: UpdateItemCommandInput): Promise<Pick<UpdateItemCommandOutput, 'Attributes'>> {
    const known = this.#known;
    if (known === undefined) {
      return this.#client.send(new UpdateItemCommand(input), { abortSignal: AbortSignal.timeout(this.#timeoutMs) });
    }
    try {
      return await this.#sendLike(known, input);
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) this.#forget();
      throw error;
    }
  }

  #forget(): void {
    this.#known = undefined;
    this.#signer = undefined;
  }

  async #sendLike(known: Request, input: UpdateItemCommandInput): Promise<Pick<UpdateItemCommandOutput, 'Attributes'>> {
    const { config } = this.#client;
    const until = Date.now() + this.#timeoutMs;
    this.#signer ??= config.signer();
    const signer = await this.#signer;
    // Items have strings, numbers and nothing binary: they are written as they are.
    const request = { ...known, headers: { ...known.headers }, body: JSON.stringify(input) } as HttpRequest;
    const signingDate = new Date(Date.now() + config.systemClockOffset);
    // The handler's own limit is that of connection and answer; what is left of it is the body's.
    const { response } = await config.requestHandler.handle((await signer.sign(request, { signingDate })) as never);
    const answer = JSON.parse(await textOf(response.body as IncomingMessage, until - Date.now()));
    if (response.statusCode === 200) return answer as UpdateItemCommandOutput;
    throw errorOf(answer as Failure);
  }
}

function requestLike({ method, protocol, hostname, port, path, headers }: HttpRequest): Request {
  const kept = Object.entries(headers).filter(([name]) => !PER_CALL.has(name.toLowerCase()));
  return {
    method,
    protocol,
    hostname,
    path,
    headers: Object.fromEntries(kept),
    ...(port === undefined ? {} : { port }),
  };
}

function textOf(body: IncomingMessage, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = (): void => void body.destroy(Object.assign(new Error('late'), { name: 'TimeoutError' }));
    const timer = setTimeout(late, Math.max(0, timeoutMs));
    let text = '';
    body.setEncoding('utf8');
    body.on('data', (chunk: string) => {
      text += chunk;
    });
    body.on('end', () => resolve(text));
    body.on('error', reject);
    body.on('close', () => {
      clearTimeout(timer);
      reject(new Error('closed')); // Of no effect after its end.
    });
  });
}

interface Failure {
  /** `com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException` */
  readonly __type?: string;
  readonly message?: string;
  readonly Message?: string;
  readonly Item?: NonNullable<UpdateItemCommandOutput['Attributes']>;
}

function errorOf({ __type = 'unknown', message, Message = message, Item }: Failure): Error {
  const name = __type.slice(__type.lastIndexOf('#') + 1);
  if (name !== 'ConditionalCheckFailedException') return Object.assign(new Error(Message), { name });
  return new ConditionalCheckFailedException({
    message: Message ?? name,
    $metadata: {},
    ...(Item === undefined ? {} : { Item }),
  });
}

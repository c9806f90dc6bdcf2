import { AsyncLocalStorage } from 'node:async_hooks';
import { type ClientRequest, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  type ConverseCommandOutput,
  ConverseStreamCommand,
  type ConverseStreamCommandInput,
  type ConverseStreamCommandOutput,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Exchange } from '../stale-connection.ts';
import { isConnectionError } from './errors.ts';

export interface ConverseClient {
  /** @param onSent told when the request has been written to a connection */
  converse(input: ConverseCommandInput, signal: AbortSignal, onSent?: () => void): Promise<ConverseCommandOutput>;
  converseStream(input: ConverseStreamCommandInput, signal: AbortSignal): Promise<ConverseStreamCommandOutput>;
  /** Another command of the service's, whose code this module needn't bring along. */
  call<T>(dispatch: (client: BedrockRuntimeClient) => Promise<T>): Promise<T>;
}

/**
 * A connection that was idle for longer may be dead: a frozen Lambda environment doesn't see the other side close it,
 * and NAT gateways forget it (after 350 s; load balancers after 60 s by default).
 */
const MAX_IDLE_MS = 20_000;

interface Call {
  reused?: Exchange;
  readonly onSent: (() => void) | undefined;
}

/**
 * The SDK doesn't say which connection a call had, nor when the request was on it: the agents note that for the call in
 * whose context they are asked.
 */
const calls = new AsyncLocalStorage<Call>();

/** What Node calls when a request wants a connection; not in its types. */
interface Agency {
  addRequest(request: ClientRequest, ...more: unknown[]): void;
}

function noting<Agent extends HttpAgent>(agent: Agent): Agent {
  const agency = agent as unknown as Agency;
  const addRequest = agency.addRequest.bind(agent);
  agency.addRequest = (request, ...more) => {
    const onSent = calls.getStore()?.onSent;
    if (onSent !== undefined) request.once('finish', onSent);
    addRequest(request, ...more);
  };
  const reuse = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    const call = calls.getStore();
    if (call !== undefined) call.reused = new Exchange(socket as Socket);
    reuse(socket, request);
  };
  return agent;
}

const clients = new Map<string, ConverseClient>();

/** Shared by all backends of a region: SDK clients are safe for concurrent calls, and so is their connection pool. */
export function sharedClient(region: string | undefined, connectMs: number): ConverseClient {
  const key = `${region ?? ''} ${connectMs}`;
  const client = clients.get(key) ?? createClient(region, connectMs);
  clients.set(key, client);
  return client;
}

/**
 * HTTP/1.1 with kept-alive connections rather than the SDK's default: over HTTP/2 it opens a connection of its own for
 * each event stream (`isEventStream` in @smithy/node-http-handler 4.14), which costs every request a TLS handshake, and
 * it ends a stream whose connection broke as if all were well. Bedrock speaks both.
 */
function createClient(region: string | undefined, connectMs: number): ConverseClient {
  const agents = [noting(new HttpAgent({ keepAlive: true })), noting(new HttpsAgent({ keepAlive: true }))] as const;
  const client = new BedrockRuntimeClient({
    ...(region !== undefined && { region }),
    // The request's path decides about retries and where they go.
    maxAttempts: 1,
    customUserAgent: 'cdk-llm-serving',
    requestHandler: new NodeHttpHandler({
      httpAgent: agents[0],
      httpsAgent: agents[1],
      connectionTimeout: connectMs,
      // Each call brings deadlines of its own.
      socketTimeout: 0,
    }),
  });
  let lastUsed = Date.now();

  const dropIdleConnections = (): void => {
    const idle = agents.flatMap((agent) => Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []));
    for (const socket of idle) socket.destroy();
  };

  /** The wall clock, not a timer: timers stand still while the environment is frozen. */
  const send = async <T>(dispatch: () => Promise<T>, onSent?: () => void): Promise<T> => {
    if (Date.now() - lastUsed > MAX_IDLE_MS) dropIdleConnections();
    lastUsed = Date.now();
    const call: Call = { onSent };
    try {
      return await calls.run(call, dispatch);
    } catch (error) {
      // The connection had died, not the service. Once more on a new one; the call's own deadlines go on counting.
      if (!call.reused?.wasStale() || !isConnectionError(error)) throw error;
      dropIdleConnections();
      return await calls.run({ onSent }, dispatch);
    } finally {
      lastUsed = Date.now();
    }
  };

  return {
    converse: (input, abortSignal, onSent) =>
      send(() => client.send(new ConverseCommand(input), { abortSignal }), onSent),
    converseStream: (input, abortSignal) => send(() => client.send(new ConverseStreamCommand(input), { abortSignal })),
    call: (dispatch) => send(() => dispatch(client)),
  };
}

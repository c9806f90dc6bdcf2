import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SecretsManagerServer {
  readonly url: string;
  /** By ARN; absent ones are not found. */
  readonly secrets: Map<string, string>;
  /** ARNs that were asked for, in their order. */
  readonly reads: string[];
  /** Answers every request while set. */
  failure: { readonly status: number; readonly type: string } | undefined;
  /** Answers wait for it. */
  gate: Promise<void> | undefined;
  close(): Promise<void>;
}

/** `GetSecretValue` as Secrets Manager speaks it: AWS JSON 1.1, the operation in `X-Amz-Target`. */
export async function startSecretsManager(): Promise<SecretsManagerServer> {
  const state: SecretsManagerServer = {
    url: '',
    secrets: new Map(),
    reads: [],
    failure: undefined,
    gate: undefined,
    close: async () => {},
  };
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    const { SecretId: id } = JSON.parse(await bodyOf(request)) as { SecretId: string };
    state.reads.push(id);
    await state.gate;
    const value = state.secrets.get(id);
    if (state.failure) answer(state.failure.status, { __type: state.failure.type, message: 'on purpose' });
    else if (request.headers['x-amz-target'] !== 'secretsmanager.GetSecretValue')
      answer(400, { __type: 'UnknownOperationException' });
    else if (value === undefined) answer(400, { __type: 'ResourceNotFoundException', Message: "can't find it" });
    else answer(200, { ARN: id, Name: 'x', VersionId: 'v1', SecretString: value, CreatedDate: 1.7e9 });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return Object.assign(state, { url, close });
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

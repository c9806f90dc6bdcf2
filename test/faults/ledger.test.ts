import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allRecords, budgetedTier, ledgerConfig, ledgerOf } from '../lambda/support/ledger.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { answerText, Upstream } from '../lambda/support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../lambda/usage/fixture.ts';

const TIMEOUT_MS = 400;

/** What happens to a call: before it is carried out, or after. */
type Fault = 'none' | 'refused' | 'throttled' | 'down' | 'lost' | 'late';

let dynamoDb: TestDynamoDb;
let up: Upstream;
let proxy: Server;
let proxyUrl: string;
/** Asked for each call. */
let faultOf: (target: string) => Fault = () => 'none';

/** In front of a real DynamoDB (as real as one machine has it): writes that happen though nobody hears of it. */
function startProxy(): Server {
  return createServer(async (call, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of call) chunks.push(chunk as Buffer);
    const fault = faultOf(String(call.headers['x-amz-target']));
    if (fault === 'down') {
      call.socket.destroy();
      return;
    }
    if (fault === 'throttled' || fault === 'refused') {
      const type = fault === 'throttled' ? 'ThrottlingException' : 'AccessDeniedException';
      answer.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
      answer.end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'no' }));
      return;
    }
    const onward = request(dynamoDb.url, { method: 'POST', headers: { ...call.headers } }, async (reply) => {
      const body: Buffer[] = [];
      for await (const chunk of reply) body.push(chunk as Buffer);
      if (fault === 'lost') {
        call.socket.destroy();
        return;
      }
      if (fault === 'late') await new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS * 1.5));
      answer.writeHead(reply.statusCode ?? 500, reply.headers);
      answer.end(Buffer.concat(body));
    });
    onward.end(Buffer.concat(chunks));
  });
}

beforeAll(async () => {
  dynamoDb = await startDynamoDb();
  up = await Upstream.start(answerText('four tokens of text'));
  proxy = startProxy();
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await up.stop();
  await dynamoDb.close();
});

const FAULTS: readonly Fault[] = ['refused', 'throttled', 'down', 'lost', 'late'];

describe.each(FAULTS)('calls of the ledger that are %s', (fault) => {
  test.each(['some', 'all, for a while'])('%s: what was answered is counted, once', async (which) => {
    const table = await createLedgerTable(dynamoDb.client);
    process.env.AWS_ENDPOINT_URL_DYNAMODB = proxyUrl;
    const config = servingConfig([model([openAiBackend(up.url)])], {
      ...{ ledger: { ...ledgerConfig.ledger, timeoutMs: TIMEOUT_MS } },
      tiers: [budgetedTier({ monthlyBudgetUsd: 1, ledgerUnavailable: 'allow' })],
    });
    const app = deploy(config, { LEDGER: table, LLM_CONSUMERS: 'key123=key123:standard' });
    let calls = 0;
    faultOf = () => (which === 'some' ? (calls++ % 3 === 0 ? fault : 'none') : fault);
    const answers = await Promise.all(Array.from({ length: 6 }, () => app.chat(HELLO)));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    faultOf = () => 'none';
    // With the next settlement the process makes up for those that failed.
    await app.chat(HELLO);
    const logged = app.requestLog().reduce((sum, line) => sum + Math.round(Number(line.CostUsd) * 1e9), 0);
    expect(await ledgerOf(dynamoDb.client, table)).toMatchObject({ cost: logged, spent: logged });
    expect(await allRecords(dynamoDb.client, table)).toHaveLength(7);
  });
});

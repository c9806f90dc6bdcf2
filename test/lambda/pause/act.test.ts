import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SNSClient } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { act } from '../../../lambda/pause/act.ts';
import { alarmMessageOf } from '../../../lambda/pause/alarm-message.ts';
import { pauseTable, publisher } from '../../../lambda/pause/aws.ts';
import { PAUSES_KEY, pause, pausesIn, resume } from '../../../lambda/usage/pauses.ts';
import type { KillSwitchConfig } from '../../../lib/private/kill-switch-config.ts';
import { startSns } from '../../../local/sns/server.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../usage/fixture.ts';

const NOW = Date.parse('2026-11-11T10:00:30Z');
const SPEND = 'arn:aws:cloudwatch:us-east-1:111122223333:alarm:Spend';
const HARD = 'arn:aws:cloudwatch:us-east-1:111122223333:alarm:Hard';
const TOPIC = 'arn:aws:sns:us-east-1:111122223333:Alarms';

let dynamoDb: TestDynamoDb;
let table: ReturnType<typeof pauseTable>;
let config: KillSwitchConfig;
let sns: Awaited<ReturnType<typeof startSns>>;
let published: Array<{ topic: string; subject: string; text: string }>;
let refuses: boolean;
let client: DynamoDBClient;

beforeAll(async () => {
  dynamoDb = await startDynamoDb();
  client = new DynamoDBClient({});
  sns = await startSns(async (topic, subject, text) => {
    if (refuses) throw new Error('not now <&>');
    published.push({ topic, subject, text });
    return `id${published.length}`;
  });
});
afterAll(async () => {
  client.destroy();
  await sns.close();
  await dynamoDb.close();
});
beforeEach(async () => {
  published = [];
  refuses = false;
  table = pauseTable(client, await createLedgerTable(dynamoDb.client));
  config = {
    ...{ table: table.name, topic: TOPIC, namespace: 'LlmServing/Shop', runbook: 'https://example.com/runbook' },
    alarms: [
      {
        arn: SPEND,
        pauses: [
          { kind: 'model', name: 'chat', reason: 'too dear' },
          { kind: 'team', name: 'red', reason: 'too dear', ms: 3_600_000 },
        ],
      },
      { arn: HARD, pauses: [] },
    ],
  };
});

/** As CloudWatch writes it. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html */
function alarm(state = 'ALARM', at = '2026-11-11T10:00:00.000+0000', AlarmArn = SPEND) {
  const reason = 'Threshold Crossed: 1 datapoint [42.0] was greater than or equal to the threshold (10.0).';
  const message = { AlarmName: 'Spend', AlarmArn, NewStateValue: state, NewStateReason: reason, StateChangeTime: at };
  const parsed = alarmMessageOf(JSON.stringify(message));
  if (parsed === undefined) throw new Error('not read');
  return parsed;
}

function run(message = alarm(), now = NOW) {
  const publish = publisher(new SNSClient({ endpoint: sns.url, maxAttempts: 1 }), TOPIC);
  return act(config, message, { table, publish, now: () => now });
}

const list = async (now = NOW) => pausesIn(await table.get(PAUSES_KEY), now);

describe('an alarm', () => {
  test('pauses what it is to pause, and tells what, how much, since when, who and what to do', async () => {
    await run();
    const since = Date.parse('2026-11-11T10:00:00Z');
    expect(await list()).toMatchObject([
      { kind: 'model', name: 'chat', since, by: 'alarm', reason: 'too dear', told: true },
      { kind: 'team', name: 'red', since, until: since + 3_600_000, told: true },
    ]);
    expect(published.map(({ topic, subject }) => [topic, subject])).toEqual([
      [TOPIC, 'Paused: model chat of LlmServing/Shop'],
      [TOPIC, 'Paused: team red of LlmServing/Shop'],
    ]);
    const [{ text = '' } = {}, other] = published;
    expect(text).toContain('get 403, code model_paused');
    expect(text).toContain('How much: alarm Spend: Threshold Crossed: 1 datapoint [42.0]');
    expect(text).toContain('Since when: 2026-11-11T10:00:00.000Z, until somebody resumes it');
    expect(text).toContain('Who: The kill switch, on an alarm; clients are told "too dear".');
    expect(text).toContain(`llm-serving resume model chat --table ${table.name}`);
    expect(text).toContain('Runbook: https://example.com/runbook');
    expect(other?.text).toContain('until 2026-11-11T11:00:00.000Z');
  });

  test('that is delivered again does nothing, also when it was resumed meanwhile', async () => {
    await run();
    await run();
    expect(published).toHaveLength(2);
    await resume(table, { kind: 'model', name: 'chat' }, NOW);
    await run();
    expect((await list()).map(({ name }) => name)).toEqual(['red']);
    expect(published).toHaveLength(2);
  });

  test('that goes off once more pauses once more, whatever order the two come in', async () => {
    await run(alarm('ALARM', '2026-11-11T10:00:20.000+0000'));
    await resume(table, { kind: 'model', name: 'chat' }, NOW);
    await run(alarm('ALARM', '2026-11-11T10:00:10.000+0000'));
    expect((await list()).map(({ name }) => name)).toEqual(['red']);
    await run(alarm('ALARM', '2026-11-11T11:00:00.000+0000'), NOW + 3_600_000);
    expect((await list(NOW + 3_600_000)).map(({ name }) => name).sort()).toEqual(['chat', 'red']);
  });

  test('whose message could not be sent is told of when it is delivered again', async () => {
    refuses = true;
    await expect(run()).rejects.toThrow('not now <&>');
    expect(await list()).toMatchObject([{ told: false }, { told: false }]);
    refuses = false;
    await run();
    expect(published).toHaveLength(2);
  });

  test('that comes so late that its pause would be over pauses nothing', async () => {
    await run(alarm(), NOW + 7_200_000);
    expect((await list(NOW + 7_200_000)).map(({ name }) => name)).toEqual(['chat']);
  });

  test.each([
    ['is over', alarm('OK')],
    ["is somebody else's", alarm('ALARM', '2026-11-11T10:00:00Z', 'arn:other')],
  ])('that %s pauses nothing', async (_, message) => {
    expect(await run(message)).toEqual([]);
    expect(await list()).toEqual([]);
  });
});

describe('an alarm on hard limits', () => {
  test.each(['ALARM', 'OK'])(
    'in state %s tells of the consumers that were paused, and not of what an operator did',
    async (state) => {
      const detail = 'spent $12 in the hour from 10:00';
      await pause(table, { kind: 'consumer', name: 'alice' }, { since: NOW, by: 'limit', detail });
      await pause(table, { kind: 'consumer', name: 'bob' }, { since: NOW, by: 'operator' });
      await run(alarm(state, '2026-11-11T10:02:00Z', HARD));
      expect(published.map(({ subject }) => subject)).toEqual(['Paused: consumer alice of LlmServing/Shop']);
      expect(published[0]?.text).toContain(`How much: ${detail}`);
      expect(published[0]?.text).toContain('usage --by model,feature --consumer alice');
    },
  );
});

test('chats get the form that they show, and people a text', async () => {
  const bodies: URLSearchParams[] = [];
  const server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    bodies.push(new URLSearchParams(Buffer.concat(chunks).toString()));
    response.end('<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await publisher(new SNSClient({ endpoint }), TOPIC)({ subject: 'Paused', text: 'long' });
  server.closeAllConnections();
  server.close();
  const message = JSON.parse(bodies[0]?.get('Message') ?? '');
  expect(bodies[0]?.get('MessageStructure')).toBe('json');
  expect(message.default).toBe('long');
  expect(JSON.parse(message.https)).toMatchObject({ version: '1.0', source: 'custom', content: { title: 'Paused' } });
});

test.each(['no JSON', '"text"', '{}', 'null', '{"AlarmArn":"a","StateChangeTime":"soon"}'])(
  '%s is no message of an alarm',
  (text) => {
    expect(alarmMessageOf(text)).toBeUndefined();
  },
);

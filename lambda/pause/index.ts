import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SNSClient } from '@aws-sdk/client-sns';
import type { KillSwitchConfig } from '../../lib/private/kill-switch-config.ts';
import { act } from './act.ts';
import { alarmMessageOf, type SnsEvent } from './alarm-message.ts';
import { pauseTable, publisher } from './aws.ts';

/** Repeated from `lib/private/kill-switch-config.ts`, of which only types may be imported; a test holds them equal. */
const KILL_SWITCH_ENV = 'LLM_KILL_SWITCH';

const config: KillSwitchConfig = JSON.parse(process.env[KILL_SWITCH_ENV] ?? '');
const options = { customUserAgent: 'cdk-llm-serving' };
const deps = {
  table: pauseTable(new DynamoDBClient(options), config.table),
  publish: publisher(new SNSClient(options), config.topic),
  now: Date.now,
};

/** One that fails is called again by Lambda, twice, with all of its messages. */
export const handler = async ({ Records }: SnsEvent): Promise<void> => {
  for (const { Sns } of Records) {
    const message = alarmMessageOf(Sns.Message);
    const told = message === undefined ? [] : await act(config, message, deps);
    for (const { kind, name, since, until, by, detail } of told) {
      const line = { level: 'WARN', message: 'paused', kind, name, since, until, by, detail };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
  }
};

import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { PublishCommand, type SNSClient } from '@aws-sdk/client-sns';
import type { PauseTable } from '../usage/pauses.ts';
import type { Notice } from './notice.ts';

/** The two operations that the function's role grants. A repetition is harmless here, so that the SDK may repeat. */
export function pauseTable(client: DynamoDBClient, name: string): PauseTable {
  const get: PauseTable['get'] = async (Key) =>
    (await client.send(new GetItemCommand({ TableName: name, Key, ConsistentRead: true }))).Item;
  return {
    name,
    get,
    update: async (input) => {
      try {
        return { ok: true, item: (await client.send(new UpdateItemCommand(input))).Attributes };
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
        return { ok: false, item: error.Item ?? (await get(input.Key ?? {})) };
      }
    },
  };
}

/** A text for people; for chats the form that Amazon Q shows, which it has by HTTPS as other addresses do. */
export function publisher(client: SNSClient, TopicArn: string): (notice: Notice) => Promise<void> {
  return async ({ subject, text }) => {
    const Message = JSON.stringify({ default: text, https: JSON.stringify(chatNotice(subject, text)) });
    await client.send(new PublishCommand({ TopicArn, Subject: subject, Message, MessageStructure: 'json' }));
  };
}

/** https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html */
const chatNotice = (title: string, description: string): object => ({
  version: '1.0',
  source: 'custom',
  content: { textType: 'client-markdown', title, description },
});

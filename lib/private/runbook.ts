const DOCUMENTS = 'https://github.com/cdk-llm-serving/cdk-llm-serving/blob/main/docs';

/** Where operators read what an alarm means: those about money have a document of their own. */
const MONEY = `${DOCUMENTS}/alarms.md`;
const OPERATIONS = `${DOCUMENTS}/operations.md`;

export interface AlarmText {
  /** The heading in docs/alarms.md, as an anchor. */
  readonly anchor: string;
  /** What has happened; the message has how much and since when. */
  readonly what: string;
  /** How to see who it was. */
  readonly who: string;
  readonly todo: string;
}

/** CloudWatch's limit. */
const MAX_LENGTH = 1024;

/** Where what is about money is explained. */
export const runbookUrl = (anchor: string): string => `${MONEY}#${anchor}`;

/** What an alarm's message says besides CloudWatch's own words, which tell how much and since when. */
export function alarmDescription({ anchor, what, who, todo }: AlarmText): string {
  const text = `${what}\nHow much and since when: see the reason for the change of state.\nWho: ${who}\nWhat to do: ${todo}\nRunbook: ${runbookUrl(anchor)}`;
  if (text.length > MAX_LENGTH) throw new Error(`the description of alarm ${anchor} has ${text.length} characters`);
  return text;
}

/** The description of an alarm that isn't about money, whose runbook is a heading in docs/operations.md. */
export function incidentDescription(anchor: string, what: string): string {
  return `${what}\nRunbook: ${OPERATIONS}#${anchor}`;
}

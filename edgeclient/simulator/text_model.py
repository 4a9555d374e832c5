# ruff: noqa: RUF001 - Chinese text has Chinese punctuation
"""The small text model: what the simulated cloud says.

It promises text that reads like the answer of a customer service, in the language of the question, and the same text
for the same seed and question on every machine and Python version (only `Random.random`-based methods are used, whose
sequences are stable). It does not understand anything.
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Final

_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
_WORDS: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,}")
_CLAUSE: Final = re.compile(r"[\u4e00-\u9fffA-Za-z0-9]+")
_IDLE_WORDS: Final = frozenset(
    {
        "about",
        "and",
        "are",
        "can",
        "could",
        "does",
        "for",
        "from",
        "have",
        "how",
        "please",
        "should",
        "tell",
        "that",
        "the",
        "this",
        "was",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    }
)
_EN_OPEN: Final = (
    "Thank you for your question about {topic}.",
    "Happy to help with {topic}.",
    "Here is what I can tell you about {topic}.",
    "Good question: {topic} comes up often.",
)
_EN_BODY: Final = (
    "First check that the device is switched on and that its status light is steady.",
    "Most cases are solved by restarting the unit and waiting for about two minutes.",
    "You will find the setting in the main menu under System, then Maintenance.",
    "If the reading stays outside the normal range, note the time and the serial number.",
    "The usual value lies between 20 and 60, and short peaks above it are harmless.",
    "Our records show that this version already contains the correction.",
    "Keep the cover closed while the work goes on, and do not cut the power.",
    "Orders placed before noon normally leave our warehouse on the same day.",
    "A refund reaches your account within three to five working days.",
    "For a permanent solution we recommend a visit of a technician.",
)
_EN_CLOSE: Final = (
    "Please let me know if that does not help.",
    "If you need more detail, send me the model number.",
    "I am glad to go through the steps with you.",
    "You can reach our service team at any time.",
)
_ZH_OPEN: Final = (
    "您好，关于“{topic}”，我来为您说明。",
    "您好，感谢您的咨询。您问的是“{topic}”。",
    "您好，很高兴为您服务。针对“{topic}”，建议如下。",
    "您好，您提到的“{topic}”是常见问题。",
)
_ZH_BODY: Final = (
    "请先确认设备已经通电，并且状态指示灯常亮。",
    "多数情况下，重启设备并等待两分钟左右即可恢复。",
    "您可以在主菜单的“系统”中找到“维护”选项进行设置。",
    "如果读数持续超出正常范围，请记录时间和设备序列号。",
    "正常数值一般在20到60之间，短时间的波动不影响使用。",
    "根据我们的记录，当前版本已经修复了这个问题。",
    "操作过程中请不要断电，也不要打开外壳。",
    "中午十二点之前的订单通常当天发货。",
    "退款一般会在三到五个工作日内退回原支付账户。",
    "如需彻底解决，建议预约工程师上门检查。",
)
_ZH_CLOSE: Final = (
    "如果还有其他问题，请随时告诉我。",
    "如仍未解决，请提供产品型号，我再为您核实。",
    "祝您生活愉快。",
    "您也可以随时联系人工客服。",
)
_EN_THOUGHT: Final = (
    "The user asks about {topic}.",
    "I should keep to the facts that a service desk knows.",
    "The simplest cause comes first, then the setting, then the technician.",
    "A short and friendly answer is best here.",
)
_ZH_THOUGHT: Final = (
    "用户在询问“{topic}”。",
    "我应当先给出最简单的检查步骤。",
    "然后说明设置方法，最后建议联系工程师。",
    "回答要简短、礼貌。",
)


def is_chinese(text: str) -> bool:
    """Does the text contain Chinese characters."""
    return _CHINESE.search(text) is not None


def topic_of(text: str) -> str:
    """A few words of the question, to come back in the answer."""
    tail = text[-2_000:]  # a long document is followed by the question about it
    if is_chinese(tail):
        clauses: list[str] = _CLAUSE.findall(tail)
        return max(clauses, key=len)[:18]
    words = [word for word in _WORDS.findall(tail) if word.lower() not in _IDLE_WORDS]
    return " ".join(words[:4]) or "your request"


def _compose(random: Random, topic: str, parts: tuple[Sequence[str], Sequence[str], Sequence[str]], glue: str) -> str:
    opening, body, closing = parts
    sentences = [random.choice(opening).format_map({"topic": topic})]
    sentences += random.sample(body, 2 + int(random.random() * 3))
    sentences.append(random.choice(closing))
    return glue.join(sentences)


def answer_text(random: Random, question: str) -> str:
    """Three to six sentences."""
    topic = topic_of(question)
    if is_chinese(question):
        return _compose(random, topic, (_ZH_OPEN, _ZH_BODY, _ZH_CLOSE), "")
    return _compose(random, topic, (_EN_OPEN, _EN_BODY, _EN_CLOSE), " ")


def thought_text(random: Random, question: str) -> str:
    """What the model reasons before it answers: two to four sentences."""
    chinese = is_chinese(question)
    thoughts = (_ZH_THOUGHT if chinese else _EN_THOUGHT)[: 2 + int(random.random() * 3)]
    return ("" if chinese else " ").join(thoughts).format_map({"topic": topic_of(question)})


def result_text(question: str, results: Sequence[str]) -> str:
    """The answer that is built on the results of tools; it quotes them."""
    quoted = ("；" if is_chinese(question) else "; ").join(result.strip()[:400] for result in results)
    if is_chinese(question):
        return f"您好，根据查询结果：{quoted}。如果还有其他问题，请随时告诉我。"
    return f"According to the result of the lookup: {quoted}. Please let me know if you need anything else."

"""Arguments for each of IFEval's instructions, and a response that follows it: the data set has no gold answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

ENGLISH = "the river runs past the old mill and under the bridge to the sea where the boats are"
WRITTEN_IN = {
    "en": ENGLISH,
    "es": "el río pasa junto al viejo molino y llega hasta el mar donde están los barcos de la gente",
    "pt": "o rio passa pelo velho moinho e chega até ao mar onde estão os barcos das pessoas não são muitos",
    "fr": "la rivière passe devant le vieux moulin et va jusqu'à la mer où sont les bateaux des gens",
    "de": "der Fluss läuft an der alten Mühle vorbei und unter der Brücke bis zum Meer, wo die Boote sind",
    "it": "il fiume passa davanti al vecchio mulino e arriva fino al mare dove sono le barche della gente",
    "vi": "dòng sông chảy qua cối xay cũ và dưới cây cầu ra biển nơi có những chiếc thuyền",
    "fi": "joki virtaa vanhan myllyn ohi ja sillan alta merelle, missä veneet ovat ja ihmiset kalastavat",
    "sw": "mto unapita karibu na kinu cha zamani na chini ya daraja hadi baharini ambapo kuna mashua nyingi",
    "pl": "rzeka płynie obok starego młyna i pod mostem aż do morza, gdzie są łodzie i ludzie",
    "ru": "река течёт мимо старой мельницы и под мостом к морю, где стоят лодки и живут люди",
    "uk": "річка тече повз старий млин і під мостом до моря, де стоять човни й живуть люди",
    "bg": "реката тече покрай старата мелница и под моста към морето, където са лодките на хората",
    "ar": "يجري النهر بجانب الطاحونة القديمة وتحت الجسر إلى البحر حيث توجد القوارب",
    "fa": "رودخانه از کنار آسیاب قدیمی و زیر پل به دریا می‌رود جایی که قایق‌ها هستند",
    "ur": "دریا پرانی چکی کے پاس سے اور پل کے نیچے سے سمندر تک جاتا ہے جہاں کشتیاں ہیں",
    "hi": "नदी पुरानी चक्की के पास से और पुल के नीचे से समुद्र तक जाती है जहाँ नावें हैं",
    "mr": "नदी जुन्या गिरणीजवळून आणि पुलाखालून समुद्राकडे जाते, जिथे बोटी आहेत आणि लोक राहतात",
    "ne": "नदी पुरानो मिलको छेउबाट र पुलमुनिबाट समुद्रसम्म जान्छ जहाँ डुङ्गाहरू छन् र मानिसहरू बस्छन्",
    "bn": "নদীটি পুরনো কলের পাশ দিয়ে সেতুর নিচে সমুদ্রে যায়",
    "th": "แม่น้ำไหลผ่านโรงสีเก่าและลอดใต้สะพานไปสู่ทะเล",
    "ta": "நதி பழைய ஆலையைக் கடந்து பாலத்தின் கீழ் கடலுக்குச் செல்கிறது",
    "te": "నది పాత మిల్లు పక్కగా వంతెన కింద సముద్రానికి వెళుతుంది",
    "kn": "ನದಿ ಹಳೆಯ ಗಿರಣಿಯ ಪಕ್ಕದಲ್ಲಿ ಸೇತುವೆಯ ಕೆಳಗೆ ಸಮುದ್ರಕ್ಕೆ ಹರಿಯುತ್ತದೆ",
    "gu": "નદી જૂની ઘંટી પાસેથી પુલની નીચે થઈને દરિયા સુધી જાય છે",
    "pa": "ਨਦੀ ਪੁਰਾਣੀ ਚੱਕੀ ਦੇ ਕੋਲੋਂ ਪੁਲ ਦੇ ਹੇਠੋਂ ਸਮੁੰਦਰ ਤੱਕ ਜਾਂਦੀ ਹੈ",
    "ml": "നദി പഴയ മില്ലിനരികിലൂടെ പാലത്തിനടിയിലൂടെ കടലിലേക്ക് ഒഴുകുന്നു",
    "he": "הנהר זורם ליד הטחנה הישנה ומתחת לגשר אל הים",
    "ko": "강은 오래된 방앗간을 지나 다리 아래로 바다까지 흐른다",
    "ja": "川は古い水車小屋のそばを流れ、橋の下を通って海に着きます",
    "zh": "河水流过古老的磨坊，穿过桥下，一直流到大海",
}
"""A sentence in every language that an answer may be asked to be in."""


def _often(word: str, times: int) -> str:
    return " ".join([word] * int(times))


def _related(word: str, kwargs: Mapping[str, Any], bound: str, relation: str = "relation") -> str:
    """As many words as wanted: the bound, or one less."""
    return "and " + _often(word, kwargs[bound] - (kwargs[relation] == "less than"))


def _paragraphs(kwargs: Mapping[str, Any]) -> str:
    count, wanted = int(kwargs["num_paragraphs"]), int(kwargs["nth_paragraph"])
    return "\n\n".join(f"{kwargs['first_word'] if place == wanted else 'So'} it goes." for place in range(1, count + 1))


BUILDERS: Mapping[str, tuple[Mapping[str, Any], Callable[[Mapping[str, Any]], str]]] = {
    "keywords:existence": ({"keywords": ["mill", "bridge"]}, lambda kwargs: " ".join(kwargs["keywords"])),
    "keywords:frequency": (
        {"keyword": "mill", "frequency": 3, "relation": "at least"},
        lambda kwargs: _related(kwargs["keyword"], kwargs, "frequency"),
    ),
    "keywords:forbidden_words": ({"forbidden_words": ["mill", "sea"]}, lambda _: "The river runs."),
    "keywords:letter_frequency": (
        {"letter": "q", "let_frequency": 4, "let_relation": "less than"},
        lambda kwargs: _related(kwargs["letter"], kwargs, "let_frequency", "let_relation"),
    ),
    "language:response_language": ({"language": "de"}, lambda kwargs: WRITTEN_IN[kwargs["language"]]),
    "length_constraints:number_sentences": (
        {"num_sentences": 3, "relation": "less than"},
        lambda kwargs: _related("It runs.", kwargs, "num_sentences"),
    ),
    "length_constraints:number_paragraphs": (
        {"num_paragraphs": 3},
        lambda kwargs: "\n***\n".join(["It runs."] * kwargs["num_paragraphs"]),
    ),
    "length_constraints:number_words": (
        {"num_words": 20, "relation": "at least"},
        lambda kwargs: _related("word", kwargs, "num_words"),
    ),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "mill"},
        _paragraphs,
    ),
    "detectable_content:number_placeholders": (
        {"num_placeholders": 2},
        lambda kwargs: _often("[name]", kwargs["num_placeholders"]),
    ),
    "detectable_content:postscript": (
        {"postscript_marker": "P.P.S"},
        lambda kwargs: f"It runs.\n\n{kwargs['postscript_marker']} To the sea.",
    ),
    "detectable_format:number_bullet_lists": (
        {"num_bullets": 3},
        lambda kwargs: "\n".join(["So:", *["* a point"] * kwargs["num_bullets"]]),
    ),
    "detectable_format:constrained_response": ({}, lambda _: "My answer is maybe."),
    "detectable_format:number_highlighted_sections": (
        {"num_highlights": 2},
        lambda kwargs: _often("so *it runs* on", kwargs["num_highlights"]),
    ),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Day", "num_sections": 2},
        lambda kwargs: "\n".join(
            f"{kwargs['section_spliter']} {n + 1}\nIt runs." for n in range(kwargs["num_sections"])
        ),
    ),
    "detectable_format:json_format": ({}, lambda _: '```json\n{"it": ["runs"]}\n```'),
    "detectable_format:title": ({}, lambda _: "<<the river>>\nIt runs."),
    "combination:two_responses": ({}, lambda _: "It runs.\n******\nIt flows."),
    "combination:repeat_prompt": (
        {"prompt_to_repeat": "Where does the river run?"},
        lambda kwargs: f"{kwargs['prompt_to_repeat']}\nTo the sea.",
    ),
    "startend:end_checker": ({"end_phrase": "That is all."}, lambda kwargs: f"It runs. {kwargs['end_phrase']}"),
    "startend:quotation": ({}, lambda _: '"It runs."'),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 3, "capital_relation": "at least"},
        lambda kwargs: _related("RIVER", kwargs, "capital_frequency", "capital_relation"),
    ),
    "change_case:english_capital": ({}, lambda _: ENGLISH.upper()),
    "change_case:english_lowercase": ({}, lambda _: ENGLISH),
    "punctuation:no_comma": ({}, lambda _: "It runs and flows."),
}


def following(name: str, kwargs: Mapping[str, Any]) -> str:
    """A response that follows an instruction."""
    return BUILDERS[name][1](kwargs)

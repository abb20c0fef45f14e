import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip.face import find_conflicts
from expclip.tead.emotions import label_synonyms, matches_label, prototypes
from expclip.tead.offline import annotate_offline, situations
from expclip.tead.offline.lexicon import load_lexicon
from expclip.tead.offline.reading import read_text, relations

FIRST_TAGS = {
    # plain feelings
    "I am so happy today!": "joy",
    "I feel lonely in this town.": "loneliness",
    "That is disgusting.": "disgust",
    "This is so boring.": "boredom",
    "I'm exhausted after work.": "tiredness",
    "I'm so jealous of her new boyfriend.": "jealousy",
    "I'm craving chocolate.": "desire",
    "He is pathetic.": "contempt",
    "I am at peace with the world.": "serenity",
    "I feel guilty about lying.": "guilt",
    "I'm ashamed of myself.": "shame",
    "This is so embarrassing.": "embarrassment",
    "I trust you with my life.": "trust",
    "It's breathtaking, I stood there in awe.": "awe",
    # what people do with words
    "Thank you so much for your help!": "gratitude",
    "I am so sorry, I should have called.": "remorse",
    "I'm sorry for your loss.": "sympathy",
    "I agree with you.": "approval",
    "I disagree, that is wrong.": "disapproval",
    "I wonder what is inside the box.": "curiosity",
    "Where did you buy that lamp?": "curiosity",
    "I don't understand what is going on.": "confusion",
    "It turns out the key was in my pocket.": "realization",
    "How dare you!": "angrily surprised",
    "Shut up!": "anger",
    "Hurry up, we have been waiting for hours!": "impatience",
    "I won't give up.": "determination",
    "Please take care of yourself, get well soon.": "caring",
    # events that name no feeling
    "My grandmother passed away last night.": "grief",
    "I got the job!": "joy",
    "We broke up yesterday.": "sadness",
    "The test came back negative.": "relief",
    "I missed the bus.": "disappointment",
    # negation
    "I am not happy with this.": "disappointment",
    "I'm not afraid anymore.": "relief",
    "Not bad at all.": "approval",
    "I feel no fear.": "relief",
    "I am no longer sad.": "contentment",
    "I'm never not excited for Christmas.": "excitement",
    "It isn't funny.": "disapproval",
    "She hardly smiled.": "sadness",
    # contrast
    "The food was great but the service made me furious.": "fury",
    "I loved the old house, but now I feel lonely.": "loneliness",
    "Although I was nervous, I am proud of what I did.": "pride",
    # mockery with a cue
    "Oh great, another Monday.": "annoyance",
    "Thanks for nothing.": "annoyance",
    "Yeah right, like he would ever pay me back.": "contempt",
    # stretched letters, capitals, emoji, the language of chats
    "soooo tiiiired": "tiredness",
    "I loooove this": "love",
    "THIS IS AMAZING": "admiration",
    "I'm #SoHappy": "joy",
    "😂😂😂": "amusement",
    "😭": "crying",
    "😡": "anger",
    ":(": "sadness",
    "<3": "love",
    "hahahahah": "amusement",
    "RIP": "grief",
    "ugh": "annoyance",
    "omg no way": "surprise",
    "idk what this means": "confusion",
    "congrats!": "admiration",
    # nothing to read
    "The meeting starts at nine in room four.": "neutral",
    "The parcel weighs two kilograms.": "neutral",
    "": "neutral",
}


@pytest.mark.parametrize(("text", "emotion"), FIRST_TAGS.items())
def test_a_text_is_read_as_expected(text: str, emotion: str) -> None:
    assert annotate_offline(text).emotions[0] == emotion


FACES = {
    "I rolled my eyes at him.": {63},
    "My jaw dropped.": {26},
    "She raised an eyebrow.": {2},
    "He smirked.": {12, 14},
    "I bit my lip and waited.": {32},
    "I blew out my cheeks.": {34},
    "He stuck out his tongue at me.": {19},
    "She winked at me.": {46},
    "I clenched my jaw.": {29},
    "I yawned.": {27},
    "I wrinkled my nose.": {9},
    "I closed my eyes.": {43},
    "He whistled.": {18},
    "They oohed and aahed.": {22},
    "He twisted his mouth.": {30},
    "She had a Cheshire grin.": {13},
    "I sucked in my lips.": {28},
    "I gave him a sideways glance.": {61},
}


@pytest.mark.parametrize(("text", "codes"), FACES.items())
def test_a_face_that_is_described_is_shown(text: str, codes: set[int]) -> None:
    assert codes <= {action.code for action in annotate_offline(text).actions}


def test_a_described_half_of_the_face_keeps_its_side() -> None:
    assert {"L-AU2C", "R-AU12C"} <= {
        *annotate_offline("She raised an eyebrow.").au_codes,
        *annotate_offline("He smirked.").au_codes,
    }


def test_a_face_that_is_denied_is_not_shown() -> None:
    assert not read_text("She never winked at me.").actions


def test_degree_changes_the_evidence() -> None:
    texts = ("a bit worried", "worried", "very worried", "VERY worried", "VERY worried!!!")
    evidence = [read_text(f"I am {text}").scores["worry"] for text in texts]
    assert evidence == sorted(evidence)
    assert len(set(evidence)) == len(evidence)


def test_more_evidence_makes_a_stronger_face() -> None:
    def strength(text: str) -> float:
        faces = [annotate_offline(text, seed=seed).actions for seed in range(40)]
        units = [a.strength() for face in faces for a in face if a.code in (1, 4, 24)]
        return sum(units) / len(units)

    assert strength("slightly worried") < strength("worried") < strength("EXTREMELY worried!!!")


def test_a_supposed_feeling_counts_less() -> None:
    assert read_text("If I were happy").scores["joy"] < read_text("I am happy").scores["joy"]


def test_two_strong_families_make_a_compound_emotion() -> None:
    assert "sadly angry" in annotate_offline("I am sad and angry.").emotions


def test_an_intensifying_swear_word_is_no_anger() -> None:
    assert annotate_offline("That was fucking brilliant").emotions[0] == "admiration"


def test_masks_links_and_names_say_nothing() -> None:
    assert annotate_offline("[ANGRY] @happy https://sad.example/love").emotions[0] == "neutral"


@pytest.mark.parametrize("emotion", prototypes())
def test_every_emotion_can_come_first(emotion: str) -> None:
    assert annotate_offline(f"I feel {emotion}.").emotions[0] == emotion


def test_the_answer_depends_on_seed_and_text_alone() -> None:
    texts = ["I am happy", "no", "what?", "I am happy"]
    forwards = [annotate_offline(text, seed=3) for text in texts]
    backwards = [annotate_offline(text, seed=3) for text in reversed(texts)]
    assert forwards == backwards[::-1]
    assert len({annotate_offline("I am happy", seed=seed) for seed in range(9)}) > 1


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(
                "not never very happy sad but if ? ! , 😂 :( rolled my eyes winked bit lip yawned"
                " blew out cheeks fear disgusting surprise thanks lol oh great SOOO how dare you"
                " stuck tongue closed looked down whistled".split()
            ),
            max_size=30,
        ).map(" ".join),
    ),
    st.integers(0, 5),
)
def test_any_text_gets_a_possible_face(text: str, seed: int) -> None:
    annotation = annotate_offline(text, seed=seed)
    codes = [action.code for action in annotation.actions]
    assert 3 <= len(annotation.emotions) == len(set(annotation.emotions)) <= 5
    assert set(annotation.emotions) <= set(prototypes())
    assert 1 <= len(annotation.situations) == len(set(annotation.situations)) <= 3
    assert len(codes) == len(set(codes)) <= 7
    assert not find_conflicts(codes)
    assert all(action.intensity for action in annotation.actions)
    assert codes or annotation.emotions[0] == "neutral"


def test_the_lexicon_names_known_emotions_and_is_large() -> None:
    lexicon = load_lexicon()
    assert lexicon.size > 2500
    for phrase, entry in lexicon.entries():
        assert phrase
        assert {emotion for emotion, _ in entry.weights} <= set(prototypes())
        assert all(weight > 0 for _, weight in entry.weights)


def test_relations_cover_the_table_and_stay_in_it() -> None:
    table = relations()
    assert list(table) == list(prototypes())
    for emotion, relation in table.items():
        assert relation.valence in ("+", "-", "0")
        assert {*relation.neighbours, *relation.negated} <= set(table)
        assert emotion not in relation.neighbours
        assert len(relation.neighbours) >= 3


def test_every_emotion_has_situations() -> None:
    table = situations()
    assert set(table) == set(prototypes())
    sentences = [sentence for several in table.values() for sentence in several]
    assert min(map(len, table.values())) >= 3
    assert sum(len(several) >= 6 for several in table.values()) >= 40
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert 8 <= len(sentence.split()) <= 20, sentence
        assert sentence[0].isupper()
        assert sentence[-1] == "."


def test_synonyms_of_labels_are_emotions_of_the_table() -> None:
    for label, emotions in label_synonyms().items():
        assert emotions <= set(prototypes()), label
        assert label in emotions or label not in prototypes()


def test_a_label_matches_itself_and_its_synonyms() -> None:
    assert matches_label(["joy"], ["joy"])
    assert matches_label(["boredom", "sorrow"], ["Sadness"])
    assert not matches_label(["joy"], ["sadness", "anger"])
    assert not matches_label([], ["joy"])
    assert not matches_label(["joy"], [])

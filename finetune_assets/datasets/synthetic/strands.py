"""The words of the sample's early-years framework, strand by strand.

Here belong texts only: each strand's name, what it is about, and one line for each point, `Level: what it looks like`.
A level without a line is a level that the strand lacks. Every sentence was written for this project.
"""

from typing import NamedTuple


class Strand(NamedTuple):
    """One attribute in words: its id (unique in the framework), short name, subject, and its points, one a line."""

    id: int
    name: str
    information: str
    points: str


PHYSICAL = (
    Strand(
        1,
        "Balance",
        "Holding and shifting the body's weight, still or on the move.",
        """
        Emerging: Stands or steps on a narrow or uneven surface while an adult holds on.
        Developing: Keeps steady for a moment when reminded where to look and put the feet.
        Progressing: Crosses a low beam with the odd touch of a hand.
        Progressing: Holds a still position for a slow count of three after one hint.
        Advancing: Keeps steady on narrow, raised or moving surfaces alone.
        Refining: Makes balancing harder on purpose and shows others how to stay on.
        """,
    ),
    Strand(
        2,
        "Large Movements",
        "Running, climbing, jumping, throwing and riding with the whole body.",
        """
        Emerging: Joins a running, climbing or ball game with an adult at hand for every move.
        Developing: Runs, climbs or throws when each movement is prompted.
        Progressing: Moves in several ways in a space known well, with little support.
        Advancing: Runs, climbs, throws and rides safely without being told how.
        Refining: Links movements smoothly and changes them to suit a new space or game.
        """,
    ),
    Strand(
        3,
        "Hand Skills",
        "Using fingers, hands and small tools with control.",
        """
        Emerging: Explores small objects and tools with an adult's hand over the child's own.
        Developing: Grasps and moves small things when shown each step again.
        Progressing: Threads, snips or twists with a single hint about grip.
        Advancing: Handles small tools and fastenings with a steady hand and no help.
        Refining: Works with fine tools neatly and quickly, and takes on fiddly new jobs.
        """,
    ),
    Strand(
        4,
        "Self-Care",
        "Washing, dressing, toileting, eating and drinking.",
        """
        Emerging: Lets an adult lead washing, dressing or eating and holds out a hand to join in.
        Developing: Does part of a care routine when each stage is named.
        Progressing: Gets through most of a daily routine with one nudge.
        Advancing: Washes, dresses and eats alone whenever it is needed.
        Refining: Looks after own needs in unfamiliar places and plans ahead for them.
        """,
    ),
    Strand(
        5,
        "Safe Choices",
        "Noticing danger and acting to stay safe.",
        """
        Emerging: Stops at a danger when an adult holds back and points it out.
        Developing: Follows a safety rule while it is being repeated.
        Progressing: Remembers the usual safety rules with a quick check.
        Advancing: Spots common dangers and keeps safe without a reminder.
        Refining: Weighs up a new risk, says why it matters and keeps others safe too.
        """,
    ),
)

SOCIAL = (
    Strand(
        6,
        "Naming Feelings",
        "Recognising feelings and finding words for them.",
        """
        Emerging: Looks at a face or picture while an adult puts the feeling into words.
        Developing: Picks out happy or sad when offered the words.
        Progressing: Names a few everyday feelings, mostly own ones, with a little prompting.
        Advancing: Says what he or she feels and what brought it on.
        Advancing: Tells apart feelings that look alike, such as cross and upset.
        Refining: Talks about mixed feelings and compares them with those of other people.
        """,
    ),
    Strand(
        7,
        "Calming Down",
        "Recovering from strong feelings.",
        """
        Emerging: Settles in the arms of an adult who knows the child well.
        Developing: Tries a calming idea when an adult offers it more than once.
        Progressing: Uses a familiar way to settle after a short word from an adult.
        Advancing: Notices a strong feeling and settles alone.
        Refining: Chooses between several ways to settle and suggests one to a friend.
        """,
    ),
    Strand(
        8,
        "Friendships",
        "Making and keeping friends.",
        """
        Emerging: Watches or plays beside another child while an adult stays close.
        Developing: Joins another child for a short while when invited by an adult.
        Progressing: Plays with one or two chosen children for much of a session.
        Advancing: Starts and keeps up play with friends and welcomes others in.
        Refining: Mends quarrels and brings different groups of children together.
        """,
    ),
    Strand(
        9,
        "Taking Turns",
        "Sharing things, space and time.",
        """
        Emerging: Gives up a toy for a moment with an adult's comfort.
        Developing: Waits a short time when told again that a turn is coming.
        Progressing: Shares and waits in games known well, with one reminder.
        Advancing: Takes turns and divides things fairly without an adult.
        Refining: Makes up fair rules for turns and talks others through them.
        """,
    ),
    Strand(
        10,
        "Kindness",
        "Noticing how others are and doing something about it.",
        """
        Emerging: Looks over at someone in distress while an adult explains.
        Developing: Offers a pat or a toy when an adult suggests it.
        Progressing: Goes to someone known well who is hurt, now with little prompting.
        Advancing: Notices that someone needs help and gives it unasked.
        Refining: Works out what would help this person most and gets others to join in.
        """,
    ),
)

LANGUAGE = (
    Strand(
        11,
        "Listening",
        "Attending to what is said and understanding it.",
        """
        Emerging: Turns to a voice close by when touched or called by name.
        Developing: Follows one short request when it is repeated with a gesture.
        Progressing: Follows familiar requests and listens to short talk with one hint.
        Advancing: Takes in longer talk and acts on requests of several parts.
        Refining: Listens critically, asks about what is unclear and sums it up for others.
        """,
    ),
    Strand(
        12,
        "Speaking",
        "Using words and sentences to tell and to explain.",
        """
        Emerging: Echoes a word or two after an adult.
        Developing: Puts a few words together when asked a question at each turn.
        Progressing: Tells about familiar events in short sentences with a starter.
        Advancing: Speaks in full sentences and keeps a listener in the picture.
        Refining: Chooses exact words, gives reasons and suits the telling to the listener.
        """,
    ),
    Strand(
        13,
        "Enjoying Books",
        "Handling books, knowing how print works, joining in with stories.",
        """
        Emerging: Looks at a page on an adult's lap and pats the pictures.
        Developing: Turns pages and names pictures when asked.
        Developing: Joins in with one repeated word when the reader pauses.
        Progressing: Tells parts of a well-known story and knows where a book starts.
        Advancing: Chooses books, follows the print and retells the story alone.
        Refining: Compares books, talks about how stories are made and reads to others from memory.
        """,
    ),
    Strand(
        14,
        "Sound Play",
        "Hearing and playing with the sounds in words.",
        """
        Emerging: Smiles or bounces to a rhyme that an adult sings.
        Developing: Claps or fills in a rhyming word when led.
        Progressing: Finds a rhyme or a first sound with one clue.
        Advancing: Splits words into beats and first sounds without a clue.
        Refining: Invents rhymes and swaps sounds to make new words.
        """,
    ),
    Strand(
        15,
        "Early Writing",
        "Making marks and letters that mean something.",
        """
        Emerging: Makes marks with an adult guiding the pencil.
        Developing: Makes marks and says what they mean when asked again.
        Progressing: Writes some letters of the name with a card in sight.
        Advancing: Writes the name and a few words from memory.
        Refining: Writes short messages for a real reader and improves them.
        """,
    ),
)

COGNITIVE = (
    Strand(
        16,
        "Counting",
        "Numbers, how many, and what happens when some come or go.",
        """
        Emerging: Joins in with a number word or two in an adult's count.
        Developing: Counts up to three things when touched one at a time with an adult.
        Progressing: Counts up to ten things with one slip put right.
        Advancing: Counts, compares and matches numerals to amounts alone.
        Refining: Adds and takes away small amounts in the head and says how.
        Refining: Makes up number problems for other children.
        """,
    ),
    Strand(
        17,
        "Shapes and Space",
        "Shapes, where things are and how they fit.",
        """
        Emerging: Pushes a shape at its hole with an adult turning it.
        Developing: Finds a matching shape when shown where to look, more than once.
        Progressing: Names common shapes and places with a small clue.
        Advancing: Names, turns and joins shapes and says where things are.
        Refining: Builds and draws with shapes to a plan and describes a route to others.
        """,
    ),
    Strand(
        18,
        "Sorting and Patterns",
        "Finding what belongs together and what comes next.",
        """
        Emerging: Puts two like things together after an adult.
        Developing: Sorts by one feature while it is being named.
        Progressing: Sorts and copies a simple pattern with one hint.
        Advancing: Sorts by own rule and carries a pattern on without help.
        Refining: Sorts the same things in several ways and designs patterns for others to solve.
        """,
    ),
    Strand(
        19,
        "Measuring",
        "Comparing length, weight, capacity and time.",
        """
        Emerging: Feels big and small, heavy and light in an adult's hands.
        Developing: Points to the bigger of two when asked again.
        Progressing: Compares two things side by side with a reminder to line them up.
        Advancing: Measures with hands, cups or scales and tells the result.
        """,
    ),
    Strand(
        20,
        "Exploring Nature",
        "Looking closely at living things and materials and testing ideas.",
        """
        Emerging: Touches or watches a plant or animal held by an adult.
        Developing: Notices a change in nature when it is pointed out step by step.
        Progressing: Describes what a plant, animal or material does after one question.
        Advancing: Watches over days and tells what changed.
        Advancing: Tries out a material in two ways and says what was different.
        Refining: Predicts, tests and explains to others why it turned out so.
        """,
    ),
)

APPROACHES = (
    Strand(
        21,
        "Curiosity",
        "Wanting to know and going to find out.",
        """
        Emerging: Looks at something new from the safety of an adult's side.
        Developing: Touches and tries new things when encouraged each time.
        Progressing: Asks simple questions about things met before.
        Advancing: Asks how and why and goes looking for the answer.
        Refining: Follows a question over time and draws other children into it.
        """,
    ),
    Strand(
        22,
        "Persistence",
        "Keeping at it when things are hard.",
        """
        Developing: Tries a second time when coaxed.
        Progressing: Keeps on with a known task through one setback, given a nudge.
        Advancing: Keeps on with a hard task until it is done.
        Refining: Changes the approach after failing and spurs others on.
        """,
    ),
    Strand(
        23,
        "Pretend Play",
        "Imagining, taking roles and making one thing stand for another.",
        """
        Emerging: Copies one pretend action that an adult plays.
        Developing: Takes a role for a short time when given the next line.
        Progressing: Plays out familiar scenes with one suggestion.
        Advancing: Makes up roles and scenes and keeps them going.
        Refining: Directs long stories with several players and turns in the plot.
        """,
    ),
    Strand(
        24,
        "Planning",
        "Thinking ahead, choosing and putting things in order.",
        """
        Emerging: Picks one of two things that an adult holds out.
        Developing: Says what comes next when asked at every step.
        Progressing: Chooses materials for a simple idea with one question.
        Progressing: Follows a short plan made together.
        Advancing: Makes a plan, carries it out and puts small faults right.
        Refining: Plans with others, shares out the work and looks back on how it went.
        """,
    ),
)

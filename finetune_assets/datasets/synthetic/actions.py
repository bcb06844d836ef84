"""What children were doing: the part of the phrase bank that tells the attribute.

Here belong gerund phrases only, by attribute id. How it went, and neutral filler, belong to `phrases.py`.
"""

from finetune_assets.datasets.synthetic.phrases import Phrasings

ACTIONS: dict[int, Phrasings] = {
    # Physical development: Balance, Large Movements, Hand Skills, Self-Care, Safe Choices.
    1: Phrasings(
        common=(
            "balancing along the low wooden beam",
            "standing on one leg like a flamingo",
            "wobbling across the stepping stones without touching the floor",
            "walking heel to toe along the chalk line",
            "holding still on tiptoe beside the mirror",
            "crossing the wobble board with arms stretched out",
        ),
        unseen=("keeping steady on the tilting log", "staying upright on the see-saw plank"),
    ),
    2: Phrasings(
        common=(
            "running round the cones and jumping over the ropes",
            "climbing to the top of the frame",
            "hopping and skipping to the far fence",
            "throwing and catching the big soft ball",
            "pedalling the tricycle up the slope",
            "kicking the football into the goal",
        ),
        unseen=(
            "galloping along the path and leaping puddles",
            "crawling through the tunnel and swinging from bars",
        ),
    ),
    3: Phrasings(
        common=(
            "threading small beads onto a lace",
            "snipping paper strips with scissors",
            "picking up peas with tweezers",
            "twisting lids on and off the jars",
            "rolling and pinching the dough into tiny balls",
            "fastening pegs along the string",
        ),
        unseen=("pushing buttons through the felt holes", "squeezing pipettes of coloured water drop by drop"),
    ),
    4: Phrasings(
        common=(
            "washing and drying hands at the sink",
            "putting on coat and shoes by the door",
            "wiping a runny nose and binning the tissue",
            "pouring a drink and clearing the plate",
            "using the toilet and pulling clothes back up",
            "zipping up a jacket to go outside",
        ),
        unseen=("brushing teeth and rinsing the cup", "peeling a satsuma and spooning yoghurt at the table"),
    ),
    5: Phrasings(
        common=(
            "stopping at the kerb and looking both ways",
            "carrying the sharp saw point down at the workbench",
            "telling the teacher about the broken glass",
            "waiting behind the yellow line near the gate",
            "checking that the ladder was firm before going up",
            "leaving the hot pan alone and keeping well back",
        ),
        unseen=("fetching a grown-up about the frayed cable", "buckling the helmet before taking the scooter"),
    ),
    # Social-emotional development: Naming Feelings, Calming Down, Friendships, Taking Turns, Kindness.
    6: Phrasings(
        common=(
            "saying 'I feel sad' at the emotion cards",
            "pointing to the angry face to show a bad mood",
            "telling us about being worried",
            "naming happy, cross and scared in the mirror",
            "describing a fluttery tummy as feeling shy",
            "choosing the excited sticker on the mood chart",
        ),
        unseen=("putting words to frustration and delight", "explaining that being left out was upsetting"),
    ),
    7: Phrasings(
        common=(
            "taking slow deep breaths after crying",
            "going to the cosy corner to settle a temper",
            "hugging the soft bear until the tears stopped",
            "squeezing the stress ball instead of hitting",
            "letting the shouting fade and relaxing on the cushion",
            "using the glitter jar to soothe an outburst",
        ),
        unseen=("resting under the blanket till the rage passed", "humming quietly to get over a tantrum"),
    ),
    8: Phrasings(
        common=(
            "inviting a classmate to join the game",
            "greeting a best friend with a smile",
            "sitting beside a favourite playmate on the carpet",
            "asking a new child to play together",
            "linking arms with a pal on the way to the field",
            "making up with a buddy after a quarrel",
        ),
        unseen=("welcoming a newcomer into the chasing crowd", "seeking out a companion to build alongside"),
    ),
    9: Phrasings(
        common=(
            "waiting for a turn with the red scooter",
            "passing the dice to the next player",
            "sharing the crayons fairly round the table",
            "swapping the digger when the sand timer ran out",
            "handing over half of the train track",
            "letting others go first on the slide",
        ),
        unseen=("queueing patiently for the trampoline", "dividing the biscuits so that everyone had some"),
    ),
    10: Phrasings(
        common=(
            "comforting a child who had fallen over",
            "fetching a plaster for a hurt knee",
            "patting the back of a crying baby",
            "offering a toy to somebody who looked lonely",
            "asking 'are you all right?' after a bump",
            "helping a smaller child find a lost mitten",
        ),
        unseen=("bringing a hanky to a sobbing toddler", "consoling a peer whose castle fell down"),
    ),
    # Language and literacy: Listening, Speaking, Enjoying Books, Sound Play, Early Writing.
    11: Phrasings(
        common=(
            "following a two-part instruction at tidy-up",
            "listening to the visitor without interrupting",
            "turning towards the speaker at circle time",
            "answering questions about what was just said",
            "carrying out spoken directions to the letter",
            "paying attention while the rules were read out",
        ),
        unseen=("hearing the request and acting on it", "attending to the announcement with eyes on the teacher"),
    ),
    12: Phrasings(
        common=(
            "talking in full sentences about the weekend",
            "describing the bus ride with new words",
            "retelling what happened at grandma's house",
            "using 'because' to explain an idea aloud",
            "chatting about the photograph in detail",
            "reporting the news to the group in a clear voice",
        ),
        unseen=("recounting the trip to the seaside out loud", "holding a conversation about the family pets"),
    ),
    13: Phrasings(
        common=(
            "turning the pages of a picture book from front to back",
            "pointing out the title and the author",
            "tracing the print from left to right with a finger",
            "reading the bear story to the dolls from memory",
            "finding a favourite page in the library book",
            "joining in with the repeated lines of the story",
        ),
        unseen=("leafing through a comic and spotting speech bubbles", "recognising the cover of a bedtime tale"),
    ),
    14: Phrasings(
        common=(
            "clapping the syllables in everyone's names",
            "making up rhymes for cat and hat",
            "noticing that bus and bell begin alike",
            "singing nonsense rhymes with silly endings",
            "hearing the first sound in the word sun",
            "tapping out the beats of each word",
        ),
        unseen=("blending c-a-t into a whole", "inventing alliteration such as slippery slimy snake"),
    ),
    15: Phrasings(
        common=(
            "writing the letters of a name on the card",
            "making marks with a pencil for a shopping list",
            "copying letters from the alphabet chart",
            "scribbling a message on the whiteboard",
            "drawing wavy lines and calling it a note",
            "labelling a picture with a few letters",
        ),
        unseen=("penning an invitation in invented spelling", "signing artwork with initials"),
    ),
    # Cognitive development: Counting, Shapes and Space, Sorting and Patterns, Measuring, Exploring Nature.
    16: Phrasings(
        common=(
            "counting ten buttons one by one",
            "matching the numeral five to five cubes",
            "working out how many apples were left",
            "saying numbers in order up to twenty",
            "adding two more frogs and giving the total",
            "counting the stairs to the landing",
        ),
        unseen=("tallying the cars up to a dozen", "subtracting cakes to learn what number remained"),
    ),
    17: Phrasings(
        common=(
            "fitting the triangle and the square into the puzzle",
            "finding circles and rectangles round the building",
            "placing the teddy under, behind and above the box",
            "rotating jigsaw pieces until they slotted in",
            "drawing a map of the route to the hall",
            "joining two half circles to make a round shape",
        ),
        unseen=("spotting hexagons in the tiles", "assembling a cube and a pyramid from nets"),
    ),
    18: Phrasings(
        common=(
            "sorting leaves by colour into trays",
            "continuing a red, blue, red, blue row",
            "grouping the animals by kind",
            "making a repeating pattern of shells and stones",
            "putting all the socks of one sort together",
            "seeing which item was the odd one out",
        ),
        unseen=("classifying vehicles into families", "alternating stripes and dots in a sequence"),
    ),
    19: Phrasings(
        common=(
            "comparing which ribbon was longer",
            "weighing pebbles on the scales",
            "filling cups to find which holds more",
            "measuring the table with hand spans",
            "lining up sticks from shortest to tallest",
            "timing the race with a stopwatch",
        ),
        unseen=("judging whether the parcel was heavier than the brick", "reading a ruler for the height of the plant"),
    ),
    20: Phrasings(
        common=(
            "looking at a snail through the magnifying glass",
            "watering the bean seeds and noticing the roots",
            "watching ice melt in the bowl",
            "digging for worms and observing how they move",
            "testing which things float and sink",
            "following the ants back to their nest",
        ),
        unseen=("studying tadpoles in the pond", "predicting what a magnet would pull"),
    ),
    # Approaches to learning: Curiosity, Persistence, Pretend Play, Planning.
    21: Phrasings(
        common=(
            "asking why the moon changes",
            "wondering how the lift works",
            "opening the mystery parcel to find out what was inside",
            "taking the old clock apart to see its cogs",
            "asking lots of questions about volcanoes",
            "investigating the strange noise in the cupboard",
        ),
        unseen=("quizzing the plumber about the pipes", "peering behind the radio to discover where music comes from"),
    ),
    22: Phrasings(
        common=(
            "trying again when the tower tumbled",
            "sticking with the tricky knot until it held",
            "keeping going with the tough maze to the end",
            "going back to finish the half-made model",
            "refusing to give up on the stuck bolt",
            "having another go after the bridge collapsed",
        ),
        unseen=("returning to the unfinished weaving day after day", "struggling on with the stiff lock"),
    ),
    23: Phrasings(
        common=(
            "pretending to be a doctor with the bandages",
            "cooking imaginary soup in the role-play kitchen",
            "turning a carton into a rocket",
            "acting out a pirate voyage",
            "dressing up as a dragon and roaring",
            "serving make-believe tea to the puppets",
        ),
        unseen=("playing shopkeeper with leaf money", "flying cardboard wings as a superhero"),
    ),
    24: Phrasings(
        common=(
            "deciding what to make before gathering the materials",
            "drawing a plan for the den first",
            "choosing the tools needed for the job",
            "setting out the steps of the recipe in order",
            "thinking ahead about who would do which part",
            "listing what the party would need",
        ),
        unseen=("sketching the design before building", "preparing a to-do sheet for the stall"),
    ),
}
"""What the child was doing, by attribute id."""

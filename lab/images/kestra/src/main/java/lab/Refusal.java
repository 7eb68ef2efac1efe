package lab;

/** Something the lab's Kestra will not start with, in words for the person who reads the log. */
public class Refusal extends RuntimeException {
    public Refusal(String message) {
        super(message);
    }
}
